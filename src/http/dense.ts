/** A larger body counts towards the limits while it is read, and is checked before parsing. */
export const LARGE_BYTES = 64 * 1024

/**
 * The minimum of bytes per value in a large body; meaningful entries have more. `[[[[`, `{},{},` or
 * `1,1,1,` take up to fifty times as long to parse as entries, and eighty times their size in
 * memory.
 */
const BYTES_PER_VALUE = 6

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Each of these characters begins another value. */
const COMMA = 0x2c
const BRACKET = 0x5b
const BRACE = 0x7b

/** The problem of a body that `isTooDense` rejects. */
export const TOO_DENSE = {
  error: 'invalid request body',
  detail: 'The body has too many values for its size.',
} as const

/** True if a large body has too many values for its size, so that it must not be parsed. */
export function isTooDense(text: string): boolean {
  const maxValues = (LARGE_BYTES + text.length) / BYTES_PER_VALUE
  let values = 0
  let isString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isString) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) isString = false
    } else if (code === QUOTE) isString = true
    else if ((code === COMMA || code === BRACKET || code === BRACE) && ++values > maxValues) {
      return true
    }
  }
  return false
}
