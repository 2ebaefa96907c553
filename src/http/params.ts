import { Type } from '@sinclair/typebox'

type Range = { minimum: number; maximum: number; default?: number; example?: number }

/** A decimal integer in a query or path. `openapi/document.ts` explains the keyword `openapi`. */
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

/** A provider group or an API key in a path: its id, or `ext:` and its external id. */
export const RowParams = Type.Object({
  id: Type.String({
    pattern: '^(?:[1-9]\\d{0,15}|ext:[^\\x00]{1,1024})$',
    description:
      'The id, an integer from 1 to 2^53 - 1, or `ext:` and the `external_id`, percent-encoded',
    examples: ['1'],
  }),
})

/** PostgreSQL rejects a NUL in any text, even in one that is only compared. */
export const NO_NUL = '^[^\\x00]*$'

export const HashParams = Type.Object({
  token_hash: Type.String({
    maxLength: 1_024,
    pattern: NO_NUL,
    description: 'The `token_hash` of a key in the catalog; at most 1024 characters',
    examples: [EXAMPLE_HASH],
  }),
})

export const NameParams = Type.Object({
  name: Type.String({
    maxLength: 1_024,
    pattern: NO_NUL,
    description: 'The `name` of one that is declared',
    examples: ['model'],
  }),
})

export const Id = digits('\\d{1,16}', 'An integer from 0 to 2^53 - 1', {
  minimum: 0,
  maximum: MAX_ID,
})

export const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 1_000

/** The maximum number of rows on a page. */
export const Limit = digits(
  '[1-9]\\d{0,2}|1000',
  'The maximum number of items, from 1 to 1000; default 100',
  { minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT },
)

/** The maximum number of events on a page or in a stream. The route enforces the page's bound. */
export const EventLimit = digits(
  '[1-9]\\d{0,14}',
  'The maximum number of events: from 1 to 1000, default 100, for a page; default all for a stream',
  { minimum: 1, maximum: MAX_POSITION },
)

/** The maximum number of verifications on a page. Each may list up to a thousand problems. */
export const VerificationLimit = digits(
  '[1-9]\\d?|100',
  'The maximum number of verifications, from 1 to 100; default 20',
  { minimum: 1, maximum: 100, default: 20 },
)

/** The `next_cursor` of a list whose cursors are numbers. */
export const Cursor = Type.String({
  pattern: '^\\d{1,15}$',
  description: 'The `next_cursor` of the previous page',
})

export const Shard = digits('\\d{1,4}', 'A shard number', {
  minimum: 0,
  maximum: 9_999,
  example: 0,
})
export const Position = digits('-1|\\d{1,15}', 'A position; -1 is before the first event', {
  minimum: -1,
  maximum: MAX_POSITION,
  example: 0,
})

export const TreeSize = (description: string) =>
  digits('\\d{1,15}', description, { minimum: 0, maximum: MAX_POSITION, example: 42 })

/** One position per shard: `0/41,1/7`. */
export const PositionsText = (description: string) =>
  Type.String({
    maxLength: 65_536,
    pattern: '^\\d{1,9}/(?:-1|\\d{1,15})(?:,\\d{1,9}/(?:-1|\\d{1,15}))*$',
    description,
    examples: ['0/41'],
  })

/** An RFC 3339 timestamp, whose zone is required. */
export const Timestamp = (meaning: string) =>
  Type.String({
    pattern:
      '^\\d{4}-\\d{2}-\\d{2}[Tt ]\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?(?:[Zz]|[+-]\\d{2}:\\d{2})$',
    description: `${meaning}, in RFC 3339 with a zone, such as 2026-01-31T12:00:00Z`,
    openapi: { format: 'date-time' },
  })

/**
 * Converts a Timestamp to UTC with all its fractional digits. Returns null if no such time exists,
 * such as 30 February, or if it is outside the years 1 to 9999.
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

/** Rejects unknown query parameters instead of ignoring them. */
export const strict = { additionalProperties: false }

export const NoQuery = Type.Object({}, strict)
