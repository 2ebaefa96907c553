import { INTERVALS } from '../../platform/intervals.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { CURRENT } from '../projections/index.ts'
import type { Projection } from '../projections/projection.ts'
import { readSnapshotSize } from '../projections/snapshot-size.ts'
import { snapshots } from '../projections/snapshots.ts'
import { usage } from '../projections/usage.ts'
import { MAX_EVENTS } from '../queries/as-of-counters.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { FoldBatch } from './fold-batch.ts'

/**
 * Projections of one shard that are folded and written together, and when. What is folded and not
 * written yet is read from the log once more after a restart, so a track that writes seldom is as
 * safe as one that writes at once; a reader who waits makes any of them write.
 */
export type ProjectionGroup = {
  name: 'current' | 'usage' | 'snapshots'
  projections: readonly Projection[]
  /**
   * Milliseconds, while no reader waits: the longest rest between two passes, and between two looks
   * at the checkpoint while another instance moves it.
   */
  idleMs: { longest: number; standby: number }
  /** Events of one read of the log; they are folded as they arrive. */
  readEvents: number
  /** Called when a pass begins: learns what `isFull` has to know of the rows written so far. */
  begin(sql: Sql, checkpoints: readonly Checkpoint[]): Promise<void>
  /** Milliseconds after which a pass is written, were it ever so small; a reader doesn't wait. */
  flushIntervalMs: number
  /** True where a pass has folded as much as may be written at once. */
  shouldFlush(batch: FoldBatch): boolean
}

/** What the admin pages show now: as fresh as is cheap. */
export function currentGroup({ pollIntervalMs } = INTERVALS.projector): ProjectionGroup {
  return {
    name: 'current',
    projections: CURRENT,
    idleMs: { longest: pollIntervalMs, standby: pollIntervalMs },
    readEvents: 5_000,
    begin: async () => {},
    flushIntervalMs: 0,
    shouldFlush: () => false,
  }
}

/** Milliseconds that usage may wait, and the rows it may hold in memory. */
const USAGE = { longestMs: 60_000, rows: 100_000 }

/**
 * Usage over time. Written at each pass it would double what the counters cost: a row a key and
 * second. Within a quarter of an hour the same rows change, so it waits a minute.
 */
export function usageGroup(): ProjectionGroup {
  return {
    name: 'usage',
    projections: [usage],
    idleMs: { longest: USAGE.longestMs, standby: 2 * USAGE.longestMs },
    readEvents: 5_000,
    begin: async () => {},
    flushIntervalMs: USAGE.longestMs,
    shouldFlush: (batch) => batch.size >= USAGE.rows,
  }
}

/**
 * What folding costs, in entries (0.06 µs each): the entries, and 64 an event. A read of the past
 * folds at most as much as lies between two snapshots. 200,000 are 12 ms: 1,200 events of a hundred
 * entries, 3,000 of one. A snapshot costs about 2 µs an id in its shard; at 64 entries an id it is
 * a twentieth of what the service does for those flushes. However many ids there are, a read folds
 * no more than it may.
 */
const SNAPSHOT = { eventCost: 64, cost: 200_000, costOfId: 64 }
const MAX = (SNAPSHOT.eventCost * MAX_EVENTS) / 2

/** Snapshots for reads of the past. */
export function snapshotGroup(shard: number): ProjectionGroup {
  let enough: number = SNAPSHOT.cost
  return {
    name: 'snapshots',
    projections: [snapshots],
    idleMs: { longest: 60_000, standby: 60_000 },
    readEvents: 1_000,
    begin: async (sql, checkpoints) => {
      const { generation, position } = checkpoints[0]!
      const ids = await readSnapshotSize(sql, shard, generation, position)
      enough = Math.min(Math.max(SNAPSHOT.cost, ids * SNAPSHOT.costOfId), MAX)
    },
    flushIntervalMs: Number.POSITIVE_INFINITY,
    shouldFlush: (batch) => batch.postings + batch.events * SNAPSHOT.eventCost >= enough,
  }
}

/** All tracks, by what they fold. */
export const GROUPS: {
  projections: readonly Projection[]
  make: (shard: number) => ProjectionGroup
}[] = [
  { projections: CURRENT, make: () => currentGroup() },
  { projections: [usage], make: usageGroup },
  { projections: [snapshots], make: snapshotGroup },
]
