/**
 * What of an older system the catalog and opening balances cannot have. A move is refused unless
 * each kind that is found is skipped; the comment says what happens then.
 *
 * - `name`: the name is too long, or not valid text. The row is moved without it.
 * - `identity`: an id or a hash that a row cannot have. The row is not moved.
 * - `duplicate`: the same id or hash as another row. The first one is moved.
 * - `amount`: below zero, above 2^53 - 1, or more successes than requests. The row is not moved.
 * - `limit`: a quota limit below zero or above 2^53 - 1. The key is moved with the limit 0.
 * - `period`: a period that quotas cannot have. The key is moved without a limit.
 * - `time`: a last access before 1970 or after 9999. The key is moved without it.
 * - `orphaned-usage`: requests of keys that are not there any more. They are not moved.
 */
export const FINDING_KINDS = [
  'name',
  'identity',
  'duplicate',
  'amount',
  'limit',
  'period',
  'time',
  'orphaned-usage',
] as const
export type FindingKind = (typeof FINDING_KINDS)[number]

/** Something that cannot be moved as it is, and where: `api_keys 7`. */
export type Finding = { kind: FindingKind; at: string; message: string }
