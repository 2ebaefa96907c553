import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { countKeys } from './count.ts'
import { KeySums } from './key-sums.ts'
import type { Fold, Place, Projection, WriteTarget } from './projection.ts'
import { keySumColumns, unnestKeySums } from './unnest.ts'

/**
 * Requests, tokens, quota use and last access of each token key. Tokens use up a quota where one
 * was tracked when they were counted; the last access only moves forward.
 */
export const keyCounters: Projection = {
  name: 'key_counters',
  // 2: an access counts as five minutes after its flush was recorded at most.
  version: 2,
  tables: [
    {
      name: 'key_counters',
      key: ['shard', 'token_hash'],
      values: ['requests', 'tokens', 'quota_used', 'last_accessed_at'],
      fillfactor: 50,
    },
  ],
  createFold: () => new KeyFold(),
}

class KeyFold implements Fold {
  readonly #sums = new KeySums()

  get size(): number {
    return this.#sums.size
  }

  add(event: Event, { recordedAt }: Place): void {
    if (event.type === 'KeyStatsFlushed') countKeys(this.#sums, event.flush, recordedAt)
  }

  *write(transaction: Transaction, { shard, generation }: WriteTarget) {
    for (const rows of this.#sums.slices()) {
      yield transaction`
        insert into key_counters as c
          (shard, generation, token_hash, requests, tokens, quota_used, last_accessed_at)
        select s.shard, ${generation}, f.token_hash, f.requests, f.tokens, f.quota_used,
          f.last_accessed_at
        from shards s
          cross join ${unnestKeySums(transaction, keySumColumns(rows))}
        where s.shard = ${shard}
        on conflict (shard, generation, token_hash) do update set
          requests = c.requests + excluded.requests,
          tokens = c.tokens + excluded.tokens,
          quota_used = c.quota_used + excluded.quota_used,
          last_accessed_at = greatest(c.last_accessed_at, excluded.last_accessed_at)`
    }
  }
}
