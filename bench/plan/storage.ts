import { type Demand, flushesOf } from './demand.ts'
import { PROJECTION_GROUPS } from './rules.ts'
import type { Sizing } from './sizing.ts'
import { costOf, sizeOf, type UnitCosts } from './unit-costs.ts'

/** Storage and memory that a demand needs. */
export type StorageNeeds = {
  /** Log and tiles after the whole retention, and all of it with the projections. */
  logGb: number
  diskGb: number
  /** The same log as an archive, and its entries as a Parquet file. */
  archiveGb: number
  parquetGb: number
  writtenMbPerSecond: number
  instanceMb: number
  /** Rows of the database that are updated all the time. */
  hotGb: number
}

const SECONDS_PER_DAY = 86_400
const BUCKETS_PER_DAY = 96
const GB = 1e9

/** Computes storage and memory. The log is never truncated, so disks hold the whole retention. */
export function storageFor(costs: UnitCosts, demand: Demand, sizing: Sizing): StorageNeeds {
  const { keys, keyCount, retentionDays } = demand
  const { shards, flushesPerCommit, rows } = sizing
  const { rowBytes, memory } = costs
  const flushes = flushesOf(demand)
  const storedFlushes = flushes * SECONDS_PER_DAY * retentionDays
  const logBytes = sizeOf(costs.logBytes, keys) + costs.tileBytes
  // One row per key and 15-minute bucket in every shard that counted the key.
  const perBucket = ((flushes * keys) / shards) * (SECONDS_PER_DAY / BUCKETS_PER_DAY)
  const usageRows = Math.min(keyCount, perBucket) * shards * BUCKETS_PER_DAY * retentionDays
  const snapshots =
    storedFlushes * keys * (rowBytes.snapshotPerId / PROJECTION_GROUPS.snapshotEntriesOfId)
  const counters = shards * keyCount * rowBytes.counters
  const walBytes = costOf(costs.walBytes, flushesPerCommit, keys) + rows * costs.row.walBytes
  return {
    logGb: (storedFlushes * logBytes) / GB,
    diskGb: (storedFlushes * logBytes + snapshots + usageRows * rowBytes.usage + counters) / GB,
    archiveGb: (storedFlushes * sizeOf(costs.archiveBytes, keys)) / GB,
    parquetGb: (storedFlushes * sizeOf(costs.parquetBytes, keys)) / GB,
    // The write-ahead log of each change, and the pages of the log, which are written again.
    writtenMbPerSecond: (flushes * (walBytes + logBytes)) / 1e6,
    instanceMb: memory.instance + memory.shard * shards + memory.key * keyCount,
    hotGb: (shards * keyCount * (rowBytes.counters + rowBytes.usage)) / GB,
  }
}
