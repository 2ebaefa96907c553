import { appendServiceEvent } from '../../log/append-event.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { type Origin, originOf, readPrevious } from './origin.ts'

/**
 * Says in each shard of which origin this one has come, where it has: the last tree head that was
 * signed there, be it of events that this log holds or lost. Said once, however often it is called.
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
