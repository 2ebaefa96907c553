import type { Sql } from '../../db/pool.ts'
import type { StoredEvent } from '../../events/event.ts'
import { formatPositions, type Positions } from '../../events/positions.ts'
import { type ReadFilter, type ReadLimits, readEvents } from '../../log/read.ts'
import { DEFAULT_LIMIT, MAX_LIMIT } from '../params.ts'
import { Problem } from '../problem.ts'
import { type EventsRequest, positionsAfter, shardsOf } from './request.ts'

/** Bytes of payload on a page: it is held in memory. */
const PAGE_BYTES = 16 * 1024 * 1024

/** `nextAfter` is null where there is nothing more for now. */
export type EventsPage = { events: StoredEvent[]; nextAfter: string | null }

/** A page of one shard, or of all merged by time; throws the problem 400 where there is none. */
export async function readPage(
  sql: Sql,
  shards: number,
  request: EventsRequest,
): Promise<EventsPage> {
  const { shard = '0', after, ...filter } = request
  const limit = Number(request.limit ?? DEFAULT_LIMIT)
  if (limit > MAX_LIMIT) {
    throw new Problem(400, 'invalid query', `A page has ${MAX_LIMIT} events at most.`)
  }
  const numbers = shardsOf(request, shards)
  const positions = positionsAfter(request, after, shards) ?? numbers.map(() => -1)
  if (shard === 'all') return readMerged(sql, positions, limit, filter)
  const limits = { rows: limit + 1, bytes: PAGE_BYTES }
  const read = await readEvents(sql, { shard: numbers[0]!, after: positions[0]! }, limits, filter)
  const events = read.slice(0, limit)
  const more = read.length > limit || !reachesEnd(read, limits)
  return { events, nextAfter: more ? String(events.at(-1)?.position) : null }
}

/** True where a read ended because the log did, and not at one of its limits. */
function reachesEnd(read: StoredEvent[], limits: ReadLimits): boolean {
  const bytes = read.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
  return read.length < limits.rows && bytes < limits.bytes
}

async function readMerged(
  sql: Sql,
  after: Positions,
  limit: number,
  filter: ReadFilter,
): Promise<EventsPage> {
  const positions = [...after]
  const limits = { rows: limit + 1, bytes: Math.ceil(PAGE_BYTES / positions.length) }
  const read = await Promise.all(
    positions.map((position, shard) => readEvents(sql, { shard, after: position }, limits, filter)),
  )
  const ends = read.map((events) => reachesEnd(events, limits))
  const events = mergeByTime(read, ends, limit)
  for (const { shard, position } of events) positions[shard] = position
  const more = !ends.every(Boolean) || read.flat().length > events.length
  return { events, nextAfter: more && events.length > 0 ? formatPositions(positions) : null }
}

/**
 * The oldest `limit` of several shards' next events. Stops early where a shard's events run out
 * that has more in the log: what follows there may be older than what the others have.
 */
function mergeByTime(read: StoredEvent[][], ends: boolean[], limit: number): StoredEvent[] {
  const merged: StoredEvent[] = []
  const next = read.map(() => 0)
  while (merged.length < limit) {
    let oldest: StoredEvent | undefined
    for (const [shard, events] of read.entries()) {
      const event = events[next[shard]!]
      if (!event && !ends[shard]) return merged
      if (event && (!oldest || event.recordedAt < oldest.recordedAt)) oldest = event
    }
    if (!oldest) return merged
    merged.push(oldest)
    next[oldest.shard]!++
  }
  return merged
}
