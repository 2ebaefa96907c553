/**
 * Rules of the service that a plan depends on, apart from costs. test/bench compares them with the
 * source.
 */

/** src/log/append.ts: bounds of one append batch. */
export const APPEND_BATCH = { fewest: 16, flushes: 1_000, bytes: 4 * 1024 * 1024 }

/** src/read-model/projector/shard-projector.ts: idle delay, as a multiple of a batch's duration. */
export const IDLE_DELAY = { factor: 9, shortestMs: 100, longestMs: 1_000 }

/** src/read-model/projector/projection-groups.ts: delay of usage, entries per id and snapshot. */
export const PROJECTION_GROUPS = { usageMs: 60_000, snapshotEntriesOfId: 64 }

/** src/platform/postgres/pool.ts: connections of one instance; the last one is for heartbeats. */
export const connectionsOf = (shards: number) =>
  Math.min(shards + 1, 16) + Math.min(2 * shards + 2, 8) + 8 + 1

/** src/service/config.ts: maximum number of shards of a database. */
export const MAX_SHARDS = 1_024

/** Time (ms) from the start of a projector batch that takes `tookMs` to the start of the next. */
export const batchPeriodMs = (tookMs: number) =>
  tookMs +
  Math.min(Math.max(IDLE_DELAY.factor * tookMs, IDLE_DELAY.shortestMs), IDLE_DELAY.longestMs)

/** Expected number of distinct kinds among `many` uniform draws from `kinds`. */
export const distinct = (many: number, kinds: number) => kinds * -Math.expm1(-many / kinds)

/** Maximum number of flushes in a batch, by count and bytes. */
export const largestBatch = (payloadBytes: number) =>
  Math.max(1, Math.min(APPEND_BATCH.flushes, Math.floor(APPEND_BATCH.bytes / payloadBytes)))
