import type { Transaction } from '../db/pool.ts'
import type { Event } from '../events/event.ts'
import { addExact, type Exact } from '../events/exact.ts'
import { toArray, toTextArray } from './array.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'

/**
 * Requests, tokens, quota use and last access of each token key. Tokens use up a quota where one
 * was tracked when they were counted; the last access only moves forward.
 */
export const keyCounters: Projection = {
  name: 'key_counters',
  createFold: () => new KeyFold(),
}

type KeyCounter = { requests: Exact; tokens: Exact; quotaUsed: Exact; lastAccessedAt: number }

class KeyFold implements Fold {
  readonly #counters = new Map<string, KeyCounter>()

  add(event: Event): void {
    if (event.type !== 'KeyStatsFlushed') return
    const { hashes, requests, tokens, last_accessed_at, quota_tracked } = event.flush
    for (let i = 0; i < hashes.length; i++) {
      const tracked = quota_tracked[i]!
      if (tracked === null) continue
      if (!requests[i] && !tokens[i] && !last_accessed_at[i]) continue
      const counter = this.#counterOf(hashes[i]!)
      counter.requests = addExact(counter.requests, requests[i]!)
      counter.tokens = addExact(counter.tokens, tokens[i]!)
      if (tracked) counter.quotaUsed = addExact(counter.quotaUsed, tokens[i]!)
      counter.lastAccessedAt = Math.max(counter.lastAccessedAt, last_accessed_at[i]!)
    }
  }

  #counterOf(hash: string): KeyCounter {
    let counter = this.#counters.get(hash)
    if (!counter) {
      counter = { requests: 0, tokens: 0, quotaUsed: 0, lastAccessedAt: 0 }
      this.#counters.set(hash, counter)
    }
    return counter
  }

  write(transaction: Transaction, { shard, generation }: WriteTarget): Promise<unknown>[] {
    if (this.#counters.size === 0) return []
    const rows = [...this.#counters].sort(([a], [b]) => (a < b ? -1 : 1))
    return [
      transaction`
        insert into key_counters as c
          (shard, generation, token_hash, requests, tokens, quota_used, last_accessed_at)
        select s.shard, ${generation}, f.token_hash, f.requests, f.tokens, f.quota_used,
          f.last_accessed_at
        from shards s
          cross join unnest(
            ${toTextArray(rows, ([hash]) => hash)}::text[],
            ${toArray(rows, ([, counter]) => counter.requests)}::numeric[],
            ${toArray(rows, ([, counter]) => counter.tokens)}::numeric[],
            ${toArray(rows, ([, counter]) => counter.quotaUsed)}::numeric[],
            ${toArray(rows, ([, counter]) => counter.lastAccessedAt)}::bigint[]
          ) as f(token_hash, requests, tokens, quota_used, last_accessed_at)
        where s.shard = ${shard}
        on conflict (shard, generation, token_hash) do update set
          requests = c.requests + excluded.requests,
          tokens = c.tokens + excluded.tokens,
          quota_used = c.quota_used + excluded.quota_used,
          last_accessed_at = greatest(c.last_accessed_at, excluded.last_accessed_at)`,
    ]
  }
}
