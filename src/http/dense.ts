/** A body above this is large: counted while it is read, and looked at before it is parsed. */
export const LARGE_BYTES = 64 * 1024

/**
 * Bytes of a large body for each value in it, at least: of an entry that says anything there are
 * more. `[[[[`, `{},{},` or `1,1,1,` take the parser up to fifty times as long as entries do, and
 * eighty times their size in memory.
 */
const BYTES_PER_VALUE = 6

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Each begins another value. */
const COMMA = 0x2c
const BRACKET = 0x5b
const BRACE = 0x7b

export const TOO_DENSE = {
  error: 'invalid request body',
  detail: 'It has more values than such a body needs.',
} as const

/** True of the text of a large body whose values say next to nothing: it isn't to be parsed. */
export function isTooDense(text: string): boolean {
  const most = (LARGE_BYTES + text.length) / BYTES_PER_VALUE
  let values = 0
  let isString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isString) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) isString = false
    } else if (code === QUOTE) isString = true
    else if ((code === COMMA || code === BRACKET || code === BRACE) && ++values > most) return true
  }
  return false
}
