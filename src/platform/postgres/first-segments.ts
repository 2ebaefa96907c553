import type { Sql } from './pool.ts'

/** The size of a segment by default, with its indexes: 1 GB, a day of a busy gateway. */
export const SEGMENT_BYTES = 1024 * 1024 * 1024

/** The assumed size of an event before the shard has any: that of a flush of some 100 keys. */
const EVENT_BYTES = 2_048

/** Bounds of the positions of a segment: a tile of the log's hashes, and 2^26. */
const MIN_POSITIONS = 256
const MAX_POSITIONS = 2 ** 26

/** Returns how many positions a segment of this size has, if its events have that size. */
export function positionsOf(segmentBytes: number, eventBytes = EVENT_BYTES): number {
  const tiles = Math.round(segmentBytes / eventBytes / MIN_POSITIONS)
  return Math.min(Math.max(tiles * MIN_POSITIONS, MIN_POSITIONS), MAX_POSITIONS)
}

/**
 * Creates the first segment of each shard that has none, one after the other: together they would
 * take more locks than a server has by default. Does nothing on Citus. Killed half-way, the next
 * start creates the rest, or an append that finds none.
 */
export async function createFirstSegments(owner: Sql, segmentBytes: number): Promise<void> {
  const rows = await owner<{ shard: number; first: string }[]>`
    select s.shard, coalesce((
      select max(g.end_position) from segments g where g.shard = s.shard
    ), 0) as first
    from shards s
    where is_partitioned('events') and to_regclass('events_' || s.shard) is null
    order by s.shard`
  for (const { shard, first } of rows) {
    await owner`select create_segment(${shard}, ${first}, ${positionsOf(segmentBytes)})`
  }
}
