import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { countApiKeys } from './count.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { Sums } from './sums.ts'
import { sumColumns, unnestSums } from './unnest.ts'

/** Requests and successes of each API key; entries whose key wasn't known count nothing. */
export const apiKeyCounters: Projection = {
  name: 'api_key_counters',
  version: 1,
  tables: [
    {
      name: 'api_key_counters',
      key: ['shard', 'api_key_id'],
      values: ['requests', 'successes'],
      fillfactor: 50,
    },
  ],
  createFold: () => new ApiKeyFold(),
}

class ApiKeyFold implements Fold {
  readonly #sums = new Sums()

  get size(): number {
    return this.#sums.size
  }

  add(event: Event): void {
    if (event.type === 'ApiKeyStatsFlushed') countApiKeys(this.#sums, event.flush)
  }

  *write(transaction: Transaction, { shard, generation }: WriteTarget) {
    for (const rows of this.#sums.slices()) {
      yield transaction`
        insert into api_key_counters as c (shard, generation, api_key_id, requests, successes)
        select s.shard, ${generation}, f.id, f.requests, f.successes
        from shards s
          cross join ${unnestSums(transaction, sumColumns(rows))}
        where s.shard = ${shard}
        on conflict (shard, generation, api_key_id) do update set
          requests = c.requests + excluded.requests,
          successes = c.successes + excluded.successes`
    }
  }
}
