import type { ApiKeyFlush } from '../../events/api-key-flush.ts'
import { type KeyFlush, latestAccess } from '../../events/key-flush.ts'
import type { KeySums } from './key-sums.ts'
import type { Sums } from './sums.ts'

// What a flush counts. The counters, usage and snapshots all count by these three.

/** Adds up a flush by API key; entries whose key wasn't known count nothing. */
export function countApiKeys(sums: Sums, flush: ApiKeyFlush): void {
  const { groups, counts, ids, requests, successes } = flush
  let i = 0
  for (let run = 0; run < groups.length; run++) {
    const end = i + counts[run]!
    if (groups[run] === null) i = end
    for (; i < end; i++) sums.add(ids[i]!, requests[i]!, successes[i]!)
  }
}

/** Adds up a flush by provider group, by the group each key had when it was counted. */
export function countGroups(sums: Sums, flush: ApiKeyFlush): void {
  const { groups, counts, requests, successes } = flush
  let i = 0
  for (let run = 0; run < groups.length; run++) {
    const end = i + counts[run]!
    const group = groups[run]!
    // null and 0: no group counts.
    if (group) sums.addRange(group, requests, successes, i, end)
    i = end
  }
}

/**
 * Adds up a flush, recorded then, by token key; entries whose key wasn't known count nothing, nor
 * do zeros.
 */
export function countKeys(sums: KeySums, flush: KeyFlush, recordedAt: string): void {
  const latest = latestAccess(recordedAt)
  const { hashes, requests, tokens, last_accessed_at, quota_tracked } = flush
  for (let i = 0; i < hashes.length; i++) {
    const tracked = quota_tracked[i]!
    if (tracked === null) continue
    if (!requests[i] && !tokens[i] && !last_accessed_at[i]) continue
    sums.add(hashes[i]!, {
      requests: requests[i]!,
      tokens: tokens[i]!,
      lastAccessedAt: Math.min(last_accessed_at[i]!, latest),
      tracked,
    })
  }
}
