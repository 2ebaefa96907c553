import { decodeColumns, isCount, isStorable, LAST_UNIX_SECOND, sameRows } from './columns.ts'

/** What was posted, a column each; index i of every column is one entry, in the order posted. */
export type KeyEntries = {
  /** Trimmed, never empty. */
  hashes: string[]
  requests: number[]
  tokens: number[]
  /** Unix seconds, as posted; 0 says nothing. `latestAccess` says what counts. */
  last_accessed_at: number[]
}

/** Seconds by which a proxy's clock may be ahead of the database's. */
const MAX_AHEAD_S = 300

/**
 * Payload of `KeyStatsFlushed`, version 1. `quota_tracked[i]` is how entry i was resolved when it
 * was appended: true, its tokens use up a quota; false, the key has no limit; null, the key isn't
 * known.
 *
 *     {"hashes":["3f08…"],"requests":[2],"tokens":[3],"last_accessed_at":[1700000000],
 *      "quota_tracked":[false]}
 */
export type KeyFlush = KeyEntries & { quota_tracked: (boolean | null)[] }

/** Body of the answer: entries that changed a known key. */
export type KeyFlushAnswer = { updated: number }

/** Whether a key's quota is tracked; null where the key isn't known. */
export type QuotaTrackedOf = (tokenHash: string) => boolean | null

/** Writes down how each entry is resolved. */
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
 * The answer to a flush. An entry changes its key when it brings anything but zeros: whether its
 * `last_accessed_at` was news at that moment isn't asked, so that a replay is answered alike.
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
 * The latest access that counts of a flush that was recorded then (RFC 3339), in Unix seconds:
 * nobody has used a key in the future, and a last access that only moves forward would stay there.
 */
export function latestAccess(recordedAt: string): number {
  return Math.floor(Date.parse(recordedAt) / 1_000) + MAX_AHEAD_S
}

/** True where both have the same entries, in any order. */
export function sameKeyEntries(a: KeyEntries, b: KeyEntries): boolean {
  return sameRows(
    [a.hashes, a.requests, a.tokens, a.last_accessed_at],
    [b.hashes, b.requests, b.tokens, b.last_accessed_at],
  )
}

/**
 * Reads a stored payload. Throws PayloadError where it could not have been written by an append.
 */
export function decodeKeyFlush(payload: unknown): KeyFlush {
  return decodeColumns(payload, {
    hashes: (hash) => typeof hash === 'string' && hash !== '' && isStorable(hash),
    requests: isCount,
    tokens: isCount,
    last_accessed_at: (at) => isCount(at) && (at as number) <= LAST_UNIX_SECOND,
    quota_tracked: (tracked) => tracked === null || typeof tracked === 'boolean',
  }) as KeyFlush
}
