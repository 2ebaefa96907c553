import type { PostedApiKeyEntries } from '../../events/api-key-flush.ts'

const ZERO = 0x30

/** Integers of this many digits stay exact while their digits are added. */
const MAX_DIGITS = 15

/** The text around the numbers of the first entry, up to the first number of the second. */
const HEAD =
  /^([^0-9]{1,64})[0-9]{1,15}([^0-9]{8,24})[0-9]{1,15}([^0-9]{8,24})[0-9]{1,15}([^0-9]{8,24})[0-9]/

/** The text after the last number. */
const TAIL = /[0-9]([\s\]}]{3,16})$/
const TAIL_LENGTH = 17

/** The fields of an entry, in the order of their columns. */
const FIELDS = ['api_key_id', 'requests', 'success_requests']

type Texts = { open: string; after: readonly [string, string, string]; close: string }

/** A text of 8 to 24 bytes, as words of which the second begins at `middle`. */
type Literal = { length: number; middle: number; first: number; second: number; third: number }

/**
 * The text between the numbers of a body whose entries have three numbers each:
 *
 *     {"keys":[{"api_key_id":7,"requests":10,"success_requests":9},{"api_key_id":8,…}]}
 */
export class Layout {
  /** The texts after the three numbers of an entry; the last entry has `close` after its third. */
  readonly #after: readonly Literal[]
  readonly #close: Uint8Array
  /** How many bytes an entry has, at least. */
  readonly #leastBytes: number

  constructor(
    readonly texts: Texts,
    /** The columns of the first, second and third number of an entry. */
    private readonly order: readonly number[],
  ) {
    this.#after = texts.after.map(literalOf)
    this.#close = new TextEncoder().encode(texts.close)
    this.#leastBytes = this.#after.reduce((bytes, { length }) => bytes + length + 1, 0)
  }

  /**
   * Reads the entries of a body in ASCII of `length` bytes, after which there is anything else in
   * ASCII, and zeros. Returns null if its layout is another one, and for an entry that is skipped
   * or wrong.
   */
  read(bytes: Uint8Array, words: DataView, length: number): PostedApiKeyEntries | null {
    const [afterFirst, afterSecond, afterThird] = this.#after
    const most = Math.ceil(length / this.#leastBytes)
    const column = () => new Array<number>(most)
    const columns: [number[], number[], number[]] = [column(), column(), column()]
    const [first, second, third] = this.order.map((column) => columns[column]!)
    let entries = 0
    let at = this.texts.open.length
    while (at < length) {
      at = readNumber(bytes, at, first!, entries)
      if (at < 0 || !matches(words, at, afterFirst!)) return null
      at = readNumber(bytes, at + afterFirst!.length, second!, entries)
      if (at < 0 || !matches(words, at, afterSecond!)) return null
      at = readNumber(bytes, at + afterSecond!.length, third!, entries)
      if (at < 0) return null
      entries++
      if (!matches(words, at, afterThird!)) break
      at += afterThird!.length
    }
    // Whatever was read behind the body is refused here.
    if (at + this.#close.length !== length) return null
    return this.#close.every((byte, i) => bytes[at + i] === byte)
      ? toEntries(columns, entries)
      : null
  }
}

/** Returns the texts between the numbers of a body; null unless it may have such a layout. */
export function cutTexts(body: string): Texts | null {
  const head = HEAD.exec(body)
  const tail = head && TAIL.exec(body.slice(-TAIL_LENGTH))
  if (head === null || tail === null) return null
  const [, open, first, second, third] = head as unknown as string[]
  return { open: open!, after: [first!, second!, third!], close: tail[1]! }
}

/**
 * Returns the layout with these texts; null if they don't make a body. If they do with these
 * numbers, they do with any, and with any number of entries.
 */
export function layoutOf(texts: Texts): Layout | null {
  const { open, close } = texts
  const [first, second, third] = texts.after
  const entries = `1${first}2${second}3${third}4${first}5${second}6`
  const names = namesOf(open + entries + close)
  const order = names?.map((name) => FIELDS.indexOf(name)) ?? []
  return Bun.deepEquals(order.toSorted(), [0, 1, 2]) ? new Layout(texts, order) : null
}

/** Returns the names of the fields of a body with two entries, from 1 to 3 and from 4 to 6. */
function namesOf(body: string): string[] | null {
  try {
    const parsed = JSON.parse(body)
    const names = Object.keys(parsed.keys[0])
    const entryFrom = (first: number) =>
      Object.fromEntries(names.map((name, i) => [name, first + i]))
    return Bun.deepEquals(parsed, { keys: [entryFrom(1), entryFrom(4)] }, true) ? names : null
  } catch {
    return null
  }
}

/** Cuts columns to this many entries. Returns null if one is skipped or wrong. */
function toEntries(columns: [number[], number[], number[]], length: number) {
  const [ids, requests, successes] = columns
  for (let i = 0; i < length; i++) {
    if (ids[i] === 0 || successes[i]! > requests[i]!) return null
  }
  for (const column of columns) column.length = length
  return { ids, requests, successes }
}

/** Reads a number to the end of a column. Returns the index after it, or -1 if it isn't plain. */
function readNumber(bytes: Uint8Array, from: number, column: number[], i: number): number {
  let at = from
  let digit = bytes[at]! - ZERO
  if (digit === 0) {
    column[i] = 0
    digit = bytes[at + 1]! - ZERO
    return digit >= 0 && digit <= 9 ? -1 : at + 1
  }
  let value = 0
  while (digit >= 0 && digit <= 9) {
    value = value * 10 + digit
    digit = bytes[++at]! - ZERO
  }
  column[i] = value
  return at === from || at > from + MAX_DIGITS ? -1 : at
}

function literalOf(text: string): Literal {
  const bytes = new TextEncoder().encode(text)
  const { length } = bytes
  const words = new DataView(bytes.buffer)
  const middle = Math.min(8, length - 8)
  const [first, second, third] = [0, middle, length - 8].map((at) => words.getFloat64(at, true))
  return { length, middle, first: first!, second: second!, third: third! }
}

/** True if the bytes from here on are the text. A word of ASCII is a number, and never NaN. */
function matches(words: DataView, at: number, literal: Literal): boolean {
  return (
    words.getFloat64(at, true) === literal.first &&
    words.getFloat64(at + literal.middle, true) === literal.second &&
    words.getFloat64(at + literal.length - 8, true) === literal.third
  )
}
