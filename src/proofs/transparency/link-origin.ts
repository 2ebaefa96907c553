import { appendServiceEvent } from '../../log/append-event.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { type Origin, originOf, readPrevious } from './origin.ts'

/**
 * Appends to each shard that had an earlier origin an event with the last tree head signed there,
 * whether this log still holds its events or lost them. Each head is linked once, however often
 * this is called.
 */
export async function linkPreviousOrigin(sql: Sql, shards: number, origin: Origin): Promise<void> {
  for (let shard = 0; shard < shards; shard++) {
    const previous = await readPrevious(origin, shard)
    if (previous === null) continue
    const payload = { origin: originOf(origin.name, shard), previous }
    const about = `origin ${payload.origin}`
    await appendServiceEvent(sql, shard, { type: 'OriginChanged', payload }, about)
  }
}
