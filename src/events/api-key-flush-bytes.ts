import type { ApiKeyFlush } from './api-key-flush.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** The text before each column of a version 2 payload, and after the last one. */
const GROUPS = bytesOf('{"groups":[')
const COUNTS = bytesOf('],"counts":[')
const IDS = bytesOf('],"ids":[')
const REQUESTS = bytesOf('],"requests":[')
const FAILING = bytesOf('],"failing":[')
const FAILURES = bytesOf('],"failures":[')
const END = bytesOf(']}')
const NULL = bytesOf('null')

const ZERO = 0x30
const NINE = 0x39
const COMMA = 0x2c
const BRACKET = 0x5d

/** Integers of this many digits stay exact while their digits are added. */
const MAX_DIGITS = 15

/**
 * Reads a version 2 payload from its bytes, if it is as `encodeApiKeyFlush` writes it, with numbers
 * below 10^15. Returns null otherwise: then JSON.parse and `decodeApiKeyFlush` decide. They take
 * three times as long, which was half of the time of a fold.
 */
export function readApiKeyFlushBytes(bytes: Uint8Array): ApiKeyFlush | null {
  const groups: (number | null)[] = []
  const counts: number[] = []
  let at = readColumn(bytes, passText(bytes, 0, GROUPS), groups, true)
  at = readColumn(bytes, passText(bytes, at, COUNTS), counts)
  if (at < 0 || groups.length !== counts.length) return null
  let length = 0
  for (const count of counts) length += count
  // There can't be more entries than bytes: allocate nothing for a false length.
  if (length > bytes.length) return null

  const ids = new Array<number>(length)
  const requests = new Array<number>(length)
  const failing: number[] = []
  const failures: number[] = []
  at = readColumn(bytes, passText(bytes, at, IDS), ids)
  at = readColumn(bytes, passText(bytes, at, REQUESTS), requests)
  at = readColumn(bytes, passText(bytes, at, FAILING), failing)
  at = readColumn(bytes, passText(bytes, at, FAILURES), failures)
  if (passText(bytes, at, END) !== bytes.length) return null
  if (!isFull(ids, length) || !isFull(requests, length) || ids.includes(0)) return null

  const successes = requests.slice()
  if (failing.length !== failures.length) return null
  for (let j = 0; j < failing.length; j++) {
    const left = (successes[failing[j]!] ?? -1) - failures[j]!
    if (left < 0) return null
    successes[failing[j]!] = left
  }
  return { groups, counts, ids, requests, successes }
}

/** Returns the index after `part`, or -1 if `part` is not at this index. */
function passText(bytes: Uint8Array, at: number, part: Uint8Array): number {
  if (at < 0) return -1
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return -1
  return at + part.length
}

/** Reads numbers into a column up to a bracket. Returns its index, or -1 for anything else. */
function readColumn(
  bytes: Uint8Array,
  from: number,
  column: (number | null)[],
  nulls = false,
): number {
  if (from < 0 || bytes[from] === BRACKET) return from
  let length = 0
  for (let at = from; ; at++) {
    const first = at
    let value = 0
    let code = bytes[at]!
    while (code >= ZERO && code <= NINE) {
      value = value * 10 + code - ZERO
      code = bytes[++at]!
    }
    const digits = at - first
    if (digits > 0) {
      if (digits > MAX_DIGITS || (digits > 1 && bytes[first] === ZERO)) return -1
      column[length++] = value
    } else {
      if (!nulls) return -1
      at = passText(bytes, at, NULL)
      if (at < 0) return -1
      code = bytes[at]!
      column[length++] = null
    }
    if (code === BRACKET) return at
    if (code !== COMMA) return -1
  }
}

/** True if exactly `length` numbers were read into an array of that length. */
const isFull = (column: number[], length: number) =>
  column.length === length && (length === 0 || column[length - 1] !== undefined)
