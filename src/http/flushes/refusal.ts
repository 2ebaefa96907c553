import { LAST_UNIX_SECOND } from '../../events/columns.ts'
import { detailsCheck } from './details.ts'

/** Why the body of a flush is refused: an `error` of the contract, and where the fault is. */
export type Refusal = {
  error: 'invalid request body' | 'invalid stats payload'
  detail: string
}

type DetailsCheck = ReturnType<typeof detailsCheck>

type Fields = Record<string, unknown>

const MAX = Number.MAX_SAFE_INTEGER

/**
 * Describes the first fault in the shape of a body, or else in its numbers, such as
 * `keys[3].requests is negative`. The text never repeats a value that was sent. `body` is undefined
 * if it was not JSON. This runs only for refused bodies, so it need not be fast.
 */
export function explainRefusal(body: unknown, fields: readonly string[]): Refusal {
  const shape = findBodyProblem(body) ?? findInEntries(body, (entry) => findShape(entry, fields))
  if (shape !== null) return { error: 'invalid request body', detail: `${shape}.` }
  const ofEntry = fields.includes('token_hash') ? findKeyNumbers : findNumbers
  const check = detailsCheck()
  const numbers = findInEntries(body, (entry) => ofEntry(entry, check))
  return { error: 'invalid stats payload', detail: `${numbers ?? 'A number is invalid'}.` }
}

/** True if all fields of an object are unknown: it was meant for something else. */
export function isForeign(object: object, fields: readonly string[]): boolean {
  return !fields.some((field) => Object.hasOwn(object, field)) && Object.keys(object).length > 0
}

function findBodyProblem(body: unknown): string | null {
  if (body === undefined) return 'The body is not JSON'
  if (body === null) return null
  if (!isObject(body)) return 'The body is not an object'
  if (isForeign(body, ['keys'])) return 'The body lacks the field keys'
  const { keys, counted_at } = body
  if (!isAbsent(keys) && !Array.isArray(keys)) return 'keys is not an array'
  if (isAbsent(counted_at) || Number.isSafeInteger(counted_at)) return null
  return 'counted_at is not a whole number of seconds'
}

/** Returns the first fault that `find` reports, with the place of the entry in front. */
function findInEntries(body: unknown, find: (entry: unknown) => string | null): string | null {
  const { keys } = (body ?? {}) as { keys?: unknown[] | null }
  for (const [i, entry] of (keys ?? []).entries()) {
    const found = entry === null ? null : find(entry)
    if (found !== null) return `keys[${i}]${found}`
  }
  return null
}

function findShape(entry: unknown, fields: readonly string[]): string | null {
  if (!isObject(entry)) return ' is not an object'
  for (const field of fields) {
    const value = entry[field]
    if (isAbsent(value)) continue
    const isText = field === 'token_hash' || field === 'api_key'
    const problem = isText ? problemOfText(value) : problemOfCount(field, value)
    if (problem !== null) return `.${field} ${problem}`
  }
  return isForeign(entry, fields) ? ` has none of the fields ${fields.join(', ')}` : null
}

function problemOfText(value: unknown): string | null {
  if (typeof value !== 'string') return 'is not a string'
  return value.includes('\0') ? 'contains a NUL' : null
}

function problemOfCount(field: string, value: unknown): string | null {
  if (typeof value !== 'number') return 'is not a number'
  if (value > MAX) return `exceeds ${MAX}`
  if (!Number.isInteger(value)) return 'is not a whole number'
  // Negative counts have the right shape and are reported as wrong numbers.
  return value < (field === 'api_key_id' ? 0 : -MAX) ? 'is negative' : null
}

/** Finds a wrong number, unless the entry is skipped. */
function findNumbers(entry: unknown, check: DetailsCheck): string | null {
  const { api_key, ...numbers } = entry as { api_key?: string | null }
  const { api_key_id, requests, success_requests } = numbers as Record<string, number | null>
  if (!api_key_id && !api_key?.trim()) return null
  if ((requests ?? 0) < 0) return '.requests is negative'
  if ((success_requests ?? 0) < 0) return '.success_requests is negative'
  if ((success_requests ?? 0) > (requests ?? 0)) return '.success_requests exceeds requests'
  return check(entry as object)
}

function findKeyNumbers(entry: unknown, check: DetailsCheck): string | null {
  const { token_hash, ...counts } = entry as { token_hash?: string | null }
  if (!token_hash?.trim()) return null
  const { requests, tokens, last_accessed_at } = counts as Record<string, number | null>
  if ((requests ?? 0) < 0) return '.requests is negative'
  if ((tokens ?? 0) < 0) return '.tokens is negative'
  if ((last_accessed_at ?? 0) < 0) return '.last_accessed_at is negative'
  if ((last_accessed_at ?? 0) > LAST_UNIX_SECOND) return '.last_accessed_at is after the year 9999'
  return check(entry as object)
}

const isAbsent = (value: unknown) => value === undefined || value === null

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
