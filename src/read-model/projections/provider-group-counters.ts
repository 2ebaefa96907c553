import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { countGroups } from './count.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { Sums } from './sums.ts'
import { sumColumns, unnestSums } from './unnest.ts'

/** Requests and successes of each provider group, by the group each key had when it was counted. */
export const providerGroupCounters: Projection = {
  name: 'provider_group_counters',
  version: 1,
  tables: [
    {
      name: 'provider_group_counters',
      key: ['shard', 'provider_group_id'],
      values: ['requests', 'successes'],
      fillfactor: 50,
    },
  ],
  createFold: () => new ProviderGroupFold(),
}

class ProviderGroupFold implements Fold {
  readonly #sums = new Sums()

  get size(): number {
    return this.#sums.size
  }

  add(event: Event): void {
    if (event.type === 'ApiKeyStatsFlushed') countGroups(this.#sums, event.flush)
  }

  *write(transaction: Transaction, { shard, generation }: WriteTarget) {
    for (const rows of this.#sums.slices()) {
      yield transaction`
        insert into provider_group_counters as c
          (shard, generation, provider_group_id, requests, successes)
        select s.shard, ${generation}, f.id, f.requests, f.successes
        from shards s
          cross join ${unnestSums(transaction, sumColumns(rows))}
        where s.shard = ${shard}
        on conflict (shard, generation, provider_group_id) do update set
          requests = c.requests + excluded.requests,
          successes = c.successes + excluded.successes`
    }
  }
}
