import {
  decodeColumns,
  isCount,
  isStorable,
  LAST_UNIX_SECOND,
  PayloadError,
  sameRows,
} from './columns.ts'
import {
  columnsToCompare,
  type Declared,
  type Details,
  measuresOf,
  type PostedDetails,
  resolveDetails,
  type Undeclared,
} from './details.ts'
import { type DecodeExtras, encodeExtras } from './extras.ts'
import { pack, unpack } from './packed.ts'

/** The posted entries by column; index i of every column is one entry, in the order posted. */
export type KeyEntries = {
  /** Trimmed, never empty. */
  hashes: string[]
  requests: number[]
  tokens: number[]
  /** Unix seconds, as posted; 0 means none. Counts up to `latestAccess` only. */
  last_accessed_at: number[]
  /** Absent if no entry has dimensions or measures. */
  details?: Details
}

export type PostedKeyEntries = Omit<KeyEntries, 'details'> & { details?: PostedDetails }

/** How far (s) a proxy's clock may be ahead of the database's. */
const MAX_AHEAD_S = 300

/**
 * Payload of `KeyStatsFlushed`, version 1. `quota_tracked[i]` is how entry i was attributed when it
 * was appended: true if its tokens use up a quota, false if the key has no limit, null if the key
 * was unknown.
 *
 *     {"hashes":["3f08…"],"requests":[2],"tokens":[3],"last_accessed_at":[1700000000],
 *      "quota_tracked":[false]}
 */
export type KeyFlush = KeyEntries & {
  quota_tracked: (boolean | null)[]
  /** When it was counted, in Unix seconds, if it was posted with a time of its own. */
  counted_at?: number
  /** Its numbers in the sequence of its sender, as sent (see sequence.ts), if it has any. */
  sequence?: string
}

/** Response body: the number of entries that changed a known key. */
export type KeyFlushAnswer = { updated: number }

/** Returns whether a key's quota is tracked, or null if the key is unknown. */
export type QuotaTrackedOf = (tokenHash: string) => boolean | null

/** Looks up the measures that entries name. */
export function resolveKeyEntries(
  entries: PostedKeyEntries,
  catalog: Declared,
): KeyEntries | Undeclared {
  const { details } = entries
  if (details === undefined) return entries as KeyEntries
  const declared = resolveDetails(details, catalog)
  return 'undeclared' in declared ? declared : { ...entries, details: declared }
}

/** Attributes each entry: records whether its key is known and its quota tracked. */
export function attributeKeyFlush(entries: KeyEntries, quotaTrackedOf: QuotaTrackedOf): KeyFlush {
  return {
    hashes: entries.hashes,
    requests: entries.requests,
    tokens: entries.tokens,
    last_accessed_at: entries.last_accessed_at,
    quota_tracked: entries.hashes.map(quotaTrackedOf),
    ...(entries.details && { details: entries.details }),
  }
}

/**
 * Returns the answer to a flush. An entry changes its key unless it is all zeros. Whether its
 * `last_accessed_at` was newer at the time doesn't matter, so that a replay gets the same answer.
 */
export function answerKeyFlush(flush: KeyFlush): KeyFlushAnswer {
  let updated = 0
  for (let i = 0; i < flush.hashes.length; i++) {
    if (flush.quota_tracked[i] === null) continue
    if (flush.requests[i] || flush.tokens[i] || flush.last_accessed_at[i]) updated++
  }
  return { updated }
}

/**
 * Returns the latest access (Unix seconds) that counts in a flush recorded at `recordedAt`
 * (RFC 3339). No key was used in the future, and as a last access only moves forward, it would stay
 * there.
 */
export function latestAccess(recordedAt: string): number {
  return Math.floor(Date.parse(recordedAt) / 1_000) + MAX_AHEAD_S
}

/** True if both have the same entries, in any order. */
export function sameKeyEntries(a: KeyEntries, b: PostedKeyEntries): boolean {
  const hasDetails = a.details !== undefined || b.details !== undefined
  const measures = measuresOf(a.details, b.details)
  const rowsOf = ({ hashes, requests, tokens, last_accessed_at, details }: PostedKeyEntries) => [
    ...[hashes, requests, tokens, last_accessed_at],
    ...(hasDetails ? columnsToCompare(details, measures, hashes.length) : []),
  ]
  return sameRows(rowsOf(a), rowsOf(b))
}

/** The version in which a flush is written. */
export function versionOfKeyFlush({ details, counted_at, sequence }: KeyFlush): number {
  if (sequence !== undefined) return 4
  if (details !== undefined) return 3
  return counted_at === undefined ? 1 : 2
}

/**
 * Encodes a payload of version 1, or of version 2 for flushes with a time of their own, of 3 for
 * those with dimensions or measures, or of 4 for those with a sequence. There the columns of
 * numbers are packed; `quota_tracked` is 0 for null, 1 for false and 2 for true.
 *
 *     {"hashes":["3f08…"],"requests":[2,"gA=="],"tokens":[2,"wA=="],
 *      "last_accessed_at":[31,"ykmoAA=="],"quota_tracked":[1,"gA=="],"counted_at":1700000000}
 */
export function encodeKeyFlush(flush: KeyFlush): string {
  if (versionOfKeyFlush(flush) === 1) return JSON.stringify(flush)
  const { hashes, requests, tokens, last_accessed_at, quota_tracked, ...extras } = flush
  return JSON.stringify({
    ...{ hashes, requests: pack(requests), tokens: pack(tokens) },
    last_accessed_at: pack(last_accessed_at),
    quota_tracked: pack(quota_tracked.map((tracked) => TRACKED.indexOf(tracked))),
    ...encodeExtras(extras),
  })
}

const TRACKED = [null, false, true]

/** Reads a payload of version 1. Throws PayloadError if no append could have written it. */
export function decodeKeyFlush1(payload: unknown): KeyFlush {
  return decodeColumns(payload, {
    hashes: isHash,
    requests: isCount,
    tokens: isCount,
    last_accessed_at: isAccess,
    quota_tracked: (tracked) => tracked === null || typeof tracked === 'boolean',
  }) as KeyFlush
}

/**
 * Reads a payload with packed columns, and its extras by `decode`. Throws PayloadError if no
 * append could have written it.
 */
export function decodePackedKeyFlush(payload: unknown, decode: DecodeExtras): KeyFlush {
  const { hashes } = decodeColumns(payload, { hashes: isHash }) as { hashes: string[] }
  const columns = payload as Record<string, unknown>
  const numbers = (name: string) => unpack(columns[name], hashes.length, name)
  const last_accessed_at = numbers('last_accessed_at')
  if (!last_accessed_at.every(isAccess)) throw new PayloadError('an access is out of range')
  const tracked = numbers('quota_tracked')
  if (tracked.some((value) => value >= TRACKED.length)) {
    throw new PayloadError('a value of quota_tracked is out of range')
  }
  return {
    ...{ hashes, requests: numbers('requests'), tokens: numbers('tokens'), last_accessed_at },
    quota_tracked: tracked.map((value) => TRACKED[value] as boolean | null),
    ...decode(payload as object, hashes.length),
  }
}

const isHash = (hash: unknown) => typeof hash === 'string' && hash !== '' && isStorable(hash)
const isAccess = (at: unknown) => isCount(at) && (at as number) <= LAST_UNIX_SECOND
