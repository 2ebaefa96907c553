/**
 * How the service decides, where a plan depends on it: not what anything costs. test/bench holds
 * these against the source they are from.
 */

/** src/log/append.ts: flushes and bytes of one batch. */
export const BATCH = { fewest: 16, flushes: 1_000, bytes: 4 * 1024 * 1024 }

/** src/read-model/projector/shard-projector.ts: a pass that took t is followed by a rest of so many t, in bounds. */
export const PASS = { restFactor: 9, shortestMs: 100, longestMs: 1_000 }

/** src/read-model/projector/projection-groups.ts: how long usage waits, and entries an id between two snapshots. */
export const TRACKS = { usageMs: 60_000, snapshotEntriesOfId: 64 }

/** src/platform/postgres/pool.ts: connections of one instance to its database; the last for its sign of life. */
export const connectionsOf = (shards: number) =>
  Math.min(shards + 1, 16) + Math.min(2 * shards + 2, 8) + 8 + 1

/** src/service/config.ts: shards of one database. */
export const MAX_SHARDS = 1_024

/** Milliseconds from the begin of a pass that takes `tookMs` to that of the next. */
export const passPeriodMs = (tookMs: number) =>
  tookMs + Math.min(Math.max(PASS.restFactor * tookMs, PASS.shortestMs), PASS.longestMs)

/** How many different ones of `kinds` are among so many, each as likely as any other. */
export const distinct = (many: number, kinds: number) => kinds * -Math.expm1(-many / kinds)

/** Flushes that a batch may hold at most, by its bytes too. */
export const largestBatch = (payloadBytes: number) =>
  Math.max(1, Math.min(BATCH.flushes, Math.floor(BATCH.bytes / payloadBytes)))
