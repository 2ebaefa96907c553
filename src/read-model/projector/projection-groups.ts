import { INTERVALS } from '../../platform/intervals.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { CURRENT } from '../projections/index.ts'
import type { Projection } from '../projections/projection.ts'
import { EVENT_COST, readSnapshotSize } from '../projections/snapshot-size.ts'
import { snapshots } from '../projections/snapshots.ts'
import { usage } from '../projections/usage.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { FoldBatch } from './fold-batch.ts'
import { snapshotDistance } from './snapshot-distance.ts'
import { thinSnapshots } from './thin-snapshots.ts'

/**
 * Projections of one shard that are folded and written together, and when. After a restart, events
 * that were folded but not written are read from the log again, so a group that writes rarely is as
 * safe as one that writes at once. A waiting reader makes any group write.
 */
export type ProjectionGroup = {
  name: 'current' | 'usage' | 'snapshots'
  projections: readonly Projection[]
  /**
   * In milliseconds, while no reader waits: the longest pause between two batches, and the interval
   * at which a standby instance polls the checkpoint.
   */
  idleMs: { longest: number; standby: number }
  /** Events per read of the log; they are folded as they arrive. */
  readEvents: number
  /**
   * Called when a batch begins: reads what `shouldFlush` needs to know about the rows written so
   * far.
   */
  begin(sql: Sql, checkpoints: readonly Checkpoint[]): Promise<void>
  /**
   * Milliseconds after which a batch is written, however small it is. A waiting reader has it
   * written at once.
   */
  flushIntervalMs: number
  /** True if a batch has folded as much as should be written at once. */
  shouldFlush(batch: FoldBatch): boolean
  /** Called after a batch was written at the end of the log, or of what is folded of it. */
  afterWrite?(sql: Sql, checkpoint: Checkpoint): Promise<void>
}

/** Writes a batch that a group has folded, as `FoldBatch.write` does. */
export type WriteBatch = (
  sql: Sql,
  batch: FoldBatch,
  group: ProjectionGroup['name'],
) => Promise<boolean>

/** The projections of current admin reads: as fresh as is cheap. */
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

/** How long usage may wait (ms), and how many rows it may hold in memory. */
const USAGE = { longestMs: 60_000, rows: 100_000 }

/**
 * Usage over time. Writing it with every batch would double the cost of the counters: one row per
 * key and second. Within a quarter hour the same rows change, so it waits a minute.
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

/** Snapshots after which the older ones are thinned out: that reads a row for each of them. */
const THIN_EVERY = 16

/** Snapshots for as-of reads. */
export function snapshotGroup(shard: number): ProjectionGroup {
  let threshold = snapshotDistance(0)
  let written = 0
  return {
    name: 'snapshots',
    projections: [snapshots],
    idleMs: { longest: 60_000, standby: 60_000 },
    readEvents: 1_000,
    begin: async (sql, checkpoints) => {
      const { generation, position } = checkpoints[0]!
      threshold = snapshotDistance(await readSnapshotSize(sql, shard, generation, position))
    },
    flushIntervalMs: Number.POSITIVE_INFINITY,
    shouldFlush: (batch) => batch.postings + batch.events * EVENT_COST >= threshold,
    afterWrite: async (sql, { generation }) => {
      if (written++ % THIN_EVERY === 0) await thinSnapshots(sql, shard, generation)
    },
  }
}

/** All groups, by the projections that they fold. */
export const GROUPS: {
  projections: readonly Projection[]
  make: (shard: number) => ProjectionGroup
}[] = [
  { projections: CURRENT, make: () => currentGroup() },
  { projections: [usage], make: usageGroup },
  { projections: [snapshots], make: snapshotGroup },
]
