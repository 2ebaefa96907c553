import type { Transaction } from '../db/pool.ts'
import type { Event } from '../events/event.ts'
import { toArray } from './array.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { Sums } from './sums.ts'

/** Requests and successes of each provider group, by the group each key had when it was counted. */
export const providerGroupCounters: Projection = {
  name: 'provider_group_counters',
  createFold: () => new ProviderGroupFold(),
}

class ProviderGroupFold implements Fold {
  readonly #sums = new Sums()

  add(event: Event): void {
    if (event.type !== 'ApiKeyStatsFlushed') return
    const { groups, counts, requests, successes } = event.flush
    let i = 0
    for (let run = 0; run < groups.length; run++) {
      const end = i + counts[run]!
      const group = groups[run]!
      // null and 0: no group counts.
      if (group) this.#sums.addRange(group, requests, successes, i, end)
      i = end
    }
  }

  write(transaction: Transaction, { shard, generation }: WriteTarget): Promise<unknown>[] {
    const rows = this.#sums.toSorted()
    if (rows.length === 0) return []
    return [
      transaction`
        insert into provider_group_counters as c
          (shard, generation, provider_group_id, requests, successes)
        select s.shard, ${generation}, f.provider_group_id, f.requests, f.successes
        from shards s
          cross join unnest(
            ${toArray(rows, ({ id }) => id)}::bigint[],
            ${toArray(rows, ({ requests }) => requests)}::numeric[],
            ${toArray(rows, ({ successes }) => successes)}::numeric[]
          ) as f(provider_group_id, requests, successes)
        where s.shard = ${shard}
        on conflict (shard, generation, provider_group_id) do update set
          requests = c.requests + excluded.requests,
          successes = c.successes + excluded.successes`,
    ]
  }
}
