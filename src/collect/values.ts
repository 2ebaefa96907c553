import { toMicros } from '../move-in/micros.ts'

// Values of senders, which differ in types and units, as Tallybook counts them.

/** The longest value of a dimension, and the longest external id and name. */
const MAX_VALUE_LENGTH = 64
const MAX_NAME_LENGTH = 255

/** A whole number of at least 0 from a number or a text, rounded; null for anything else. */
export function toCount(value: unknown): number | null {
  const number = toNumber(value)
  if (number === null || number < 0) return null
  const rounded = Math.round(number)
  return Number.isSafeInteger(rounded) ? rounded : null
}

/** Millionths of a dollar from dollars, rounded by their digits. Null if there is no amount. */
export function dollarsToMicros(value: unknown): number | null {
  const number = toNumber(value)
  return number === null || number < 0 ? null : toCount(String(toMicros(String(number))))
}

/** Digits from which on a time is in milliseconds, microseconds or nanoseconds since 1970. */
const MILLISECONDS = 1e11
const MICROSECONDS = 1e14
const NANOSECONDS = 1e17

/** Unix seconds from a number, a text of digits or an ISO 8601 time; null for anything else. */
export function toUnixSeconds(value: unknown): number | null {
  const number = toNumber(value)
  if (number === null) {
    const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
    return Number.isNaN(ms) ? null : Math.floor(ms / 1_000)
  }
  if (number <= 0) return null
  if (number >= NANOSECONDS) return Math.floor(number / 1e9)
  if (number >= MICROSECONDS) return Math.floor(number / 1e6)
  return Math.floor(number >= MILLISECONDS ? number / 1e3 : number)
}

/** A text that can be a value of a dimension; null if there is none. */
export function toValue(value: unknown): string | null {
  const text = toText(value, MAX_VALUE_LENGTH)
  // The service counts what exceeds its limits under this name.
  return text === 'other' ? 'Other' : text
}

/** A text that can be an external id or a name; null if there is none. */
export const toName = (value: unknown) => toText(value, MAX_NAME_LENGTH)

function toText(value: unknown, longest: number): string | null {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    return null
  const text = String(value).replaceAll('\0', '').trim()
  return text.slice(0, longest).toWellFormed().trim() || null
}

/**
 * How a request ended, as `2xx`, `429` or `5xx` from a code, or the text of an error. Success words
 * are `2xx`. Null if there is nothing to tell from.
 */
export function toStatus(value: unknown): string | null {
  const code = toNumber(value)
  if (code !== null && code >= 100 && code < 600) {
    return code === 429 ? '429' : `${Math.floor(code / 100)}xx`
  }
  const text = toValue(value)?.toLowerCase() ?? null
  return text !== null && SUCCESS.has(text) ? '2xx' : text
}

const SUCCESS = new Set(['success', 'succeeded', 'ok', 'true', 'completed'])

/** A finite number from a number or a text that is one; null for anything else. */
function toNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value !== 'string' || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim()))
    return null
  return Number(value)
}
