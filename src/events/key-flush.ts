import { decodeColumns, isCount, isStorable, LAST_UNIX_SECOND, sameRows } from './columns.ts'

/** The posted entries by column; index i of every column is one entry, in the order posted. */
export type KeyEntries = {
  /** Trimmed, never empty. */
  hashes: string[]
  requests: number[]
  tokens: number[]
  /** Unix seconds, as posted; 0 means none. Counts up to `latestAccess` only. */
  last_accessed_at: number[]
}

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
export type KeyFlush = KeyEntries & { quota_tracked: (boolean | null)[] }

/** Response body: the number of entries that changed a known key. */
export type KeyFlushAnswer = { updated: number }

/** Returns whether a key's quota is tracked, or null if the key is unknown. */
export type QuotaTrackedOf = (tokenHash: string) => boolean | null

/** Attributes each entry: records whether its key is known and its quota tracked. */
export function attributeKeyFlush(entries: KeyEntries, quotaTrackedOf: QuotaTrackedOf): KeyFlush {
  return {
    hashes: entries.hashes,
    requests: entries.requests,
    tokens: entries.tokens,
    last_accessed_at: entries.last_accessed_at,
    quota_tracked: entries.hashes.map(quotaTrackedOf),
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
export function sameKeyEntries(a: KeyEntries, b: KeyEntries): boolean {
  return sameRows(
    [a.hashes, a.requests, a.tokens, a.last_accessed_at],
    [b.hashes, b.requests, b.tokens, b.last_accessed_at],
  )
}

/** Reads a stored payload. Throws PayloadError if no append could have written it. */
export function decodeKeyFlush(payload: unknown): KeyFlush {
  return decodeColumns(payload, {
    hashes: (hash) => typeof hash === 'string' && hash !== '' && isStorable(hash),
    requests: isCount,
    tokens: isCount,
    last_accessed_at: (at) => isCount(at) && (at as number) <= LAST_UNIX_SECOND,
    quota_tracked: (tracked) => tracked === null || typeof tracked === 'boolean',
  }) as KeyFlush
}
