import type { Transaction } from '../db/pool.ts'
import type { Event } from '../events/event.ts'
import { addExact, type Exact } from '../events/exact.ts'
import { toArray } from './array.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'

/** Requests and successes of each API key; entries whose key wasn't known count nothing. */
export const apiKeyCounters: Projection = {
  name: 'api_key_counters',
  createFold: () => new ApiKeyFold(),
}

class ApiKeyFold implements Fold {
  readonly #counters = new Map<number, { requests: Exact; successes: Exact }>()

  add(event: Event): void {
    if (event.type !== 'ApiKeyStatsFlushed') return
    const { groups, counts, ids, requests, successes } = event.flush
    let i = 0
    for (let run = 0; run < groups.length; run++) {
      const end = i + counts[run]!
      if (groups[run] === null) i = end
      for (; i < end; i++) this.#count(ids[i]!, requests[i]!, successes[i]!)
    }
  }

  #count(id: number, requests: number, successes: number): void {
    const counter = this.#counters.get(id)
    if (counter) {
      counter.requests = addExact(counter.requests, requests)
      counter.successes = addExact(counter.successes, successes)
    } else if (requests > 0) {
      this.#counters.set(id, { requests, successes })
    }
  }

  write(transaction: Transaction, { shard, generation }: WriteTarget): Promise<unknown>[] {
    if (this.#counters.size === 0) return []
    const rows = [...this.#counters].sort(([a], [b]) => a - b)
    return [
      transaction`
        insert into api_key_counters as c (shard, generation, api_key_id, requests, successes)
        select s.shard, ${generation}, f.api_key_id, f.requests, f.successes
        from shards s
          cross join unnest(
            ${toArray(rows, ([id]) => id)}::bigint[],
            ${toArray(rows, ([, counter]) => counter.requests)}::numeric[],
            ${toArray(rows, ([, counter]) => counter.successes)}::numeric[]
          ) as f(api_key_id, requests, successes)
        where s.shard = ${shard}
        on conflict (shard, generation, api_key_id) do update set
          requests = c.requests + excluded.requests,
          successes = c.successes + excluded.successes`,
    ]
  }
}
