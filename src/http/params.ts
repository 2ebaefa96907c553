import { Type } from '@sinclair/typebox'

type Range = { minimum: number; maximum: number; default?: number; example?: number }

/** A whole number in digits, as queries and paths carry it; `openapi`: see swagger/document.ts. */
const digits = (pattern: string, description: string, range: Range) =>
  Type.String({
    pattern: `^(?:${pattern})$`,
    description,
    openapi: { type: 'integer', ...range },
  })

const MAX_ID = Number.MAX_SAFE_INTEGER
const MAX_POSITION = 999_999_999_999_999

/** SHA-256 of `example`, in hex. */
export const EXAMPLE_HASH = '50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c'

export const IdParams = Type.Object({
  id: digits('[1-9]\\d{0,15}', 'From 1 to 2^53 - 1', { minimum: 1, maximum: MAX_ID, example: 1 }),
})

/** PostgreSQL takes no NUL in a text, not even to look for it. */
export const NO_NUL = '^[^\\x00]*$'

export const HashParams = Type.Object({
  token_hash: Type.String({
    maxLength: 1_024,
    pattern: NO_NUL,
    description: 'The hash that the catalog has',
    examples: [EXAMPLE_HASH],
  }),
})

export const Id = digits('\\d{1,16}', 'From 0 to 2^53 - 1', { minimum: 0, maximum: MAX_ID })

export const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 1_000

/** Rows of a page. */
export const Limit = digits('[1-9]\\d{0,2}|1000', 'From 1 to 1000; 100 if absent', {
  minimum: 1,
  maximum: MAX_LIMIT,
  default: DEFAULT_LIMIT,
})

/** Events of a page or of a stream; that a page has a bound is for its route to say. */
export const EventLimit = digits(
  '[1-9]\\d{0,14}',
  'Of a page from 1 to 1000, 100 if absent; of a stream any number, all if absent',
  { minimum: 1, maximum: MAX_POSITION },
)

/** Verifications of a page; each may tell of many problems. */
export const VerificationLimit = digits('[1-9]\\d?|100', 'From 1 to 100; 20 if absent', {
  minimum: 1,
  maximum: 100,
  default: 20,
})

/** `next_cursor` of a list whose cursors are numbers. */
export const Cursor = Type.String({
  pattern: '^\\d{1,15}$',
  description: '`next_cursor` of the page before',
})

export const Shard = digits('\\d{1,4}', 'A shard', { minimum: 0, maximum: 9_999, example: 0 })
export const Position = digits('-1|\\d{1,15}', 'A position; -1 stands before the first', {
  minimum: -1,
  maximum: MAX_POSITION,
  example: 0,
})

export const TreeSize = (description: string) =>
  digits('\\d{1,15}', description, { minimum: 0, maximum: MAX_POSITION, example: 42 })

/** `0/41,1/7`: a position a shard. */
export const PositionsText = (description: string) =>
  Type.String({
    maxLength: 65_536,
    pattern: '^\\d{1,9}/(?:-1|\\d{1,15})(?:,\\d{1,9}/(?:-1|\\d{1,15}))*$',
    description,
    examples: ['0/41'],
  })

/** RFC 3339, with a zone. */
export const Timestamp = Type.String({
  pattern:
    '^\\d{4}-\\d{2}-\\d{2}[Tt ]\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?(?:[Zz]|[+-]\\d{2}:\\d{2})$',
  description: 'RFC 3339, such as 2026-01-31T12:00:00Z',
  openapi: { format: 'date-time' },
})

/**
 * The moment that a Timestamp names, in UTC and as exact as it was given; null where there is none,
 * as on 30 February or outside of the years 1 to 9999.
 */
export function toMoment(timestamp: string): string | null {
  const [, day, time, fraction = '', zone] = /^(.{10}).(.{8})(\.\d+)?(.+)$/.exec(timestamp) ?? []
  const midnight = new Date(`${day}T00:00:00Z`)
  const moment = new Date(`${day}T${time}${zone?.toUpperCase()}`)
  if (Number.isNaN(midnight.getTime()) || Number.isNaN(moment.getTime())) return null
  if (midnight.toISOString().slice(0, 10) !== day) return null
  const utc = moment.toISOString()
  return /^(?!0000)\d{4}-/.test(utc) ? `${utc.slice(0, 19)}${fraction}Z` : null
}

/** Queries name what they mean: an unknown one is an error, not ignored. */
export const strict = { additionalProperties: false }

export const NoQuery = Type.Object({}, strict)
