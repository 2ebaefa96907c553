import type { Sql } from '../../db/pool.ts'
import type { StoredEvent } from '../../events/event.ts'
import { formatPositions, parsePositions } from '../../events/positions.ts'
import { type ReadFilter, type ReadLimits, readEvents } from '../../log/read.ts'
import { DEFAULT_LIMIT } from '../params.ts'

/** Bytes of payload on a page: it is held in memory. */
const PAGE_BYTES = 16 * 1024 * 1024

export type EventsRequest = ReadFilter & { shard?: string; after?: string; limit?: string }

/** `nextAfter` is null where there is nothing more for now. */
export type EventsPage = { events: StoredEvent[]; nextAfter: string | null }

/** A page of one shard, or of all merged by time; null for a shard that there isn't. */
export async function readPage(
  sql: Sql,
  shards: number,
  request: EventsRequest,
): Promise<EventsPage | null> {
  const { shard = '0', after, ...filter } = request
  const limit = Number(request.limit ?? DEFAULT_LIMIT)
  if (shard === 'all') return readMerged(sql, shards, after, limit, filter)
  const number = Number(shard)
  const from = parseAfter(after, number)
  if (number >= shards || from === null) return null
  const limits = { rows: limit + 1, bytes: PAGE_BYTES }
  const read = await readEvents(sql, { shard: number, after: from }, limits, filter)
  const events = read.slice(0, limit)
  const more = read.length > limit || !reachesEnd(read, limits)
  return { events, nextAfter: more ? String(events.at(-1)?.position) : null }
}

/** True where a read ended because the log did, and not at one of its limits. */
function reachesEnd(read: StoredEvent[], limits: ReadLimits): boolean {
  const bytes = read.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
  return read.length < limits.rows && bytes < limits.bytes
}

/** `41`, or `0/41` as a position header names it. */
function parseAfter(after: string | undefined, shard: number): number | null {
  if (after === undefined) return -1
  if (!after.includes('/')) return Number(after)
  return parsePositions(after, shard + 1)?.[shard] ?? null
}

async function readMerged(
  sql: Sql,
  shards: number,
  after: string | undefined,
  limit: number,
  filter: ReadFilter,
): Promise<EventsPage | null> {
  const from = after === undefined ? [] : parsePositions(after, shards)
  if (from === null) return null
  const positions = Array.from({ length: shards }, (_, shard) => from[shard] ?? -1)
  const limits = { rows: limit + 1, bytes: Math.ceil(PAGE_BYTES / shards) }
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
