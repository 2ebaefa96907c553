import { type Demand, flushesOf } from './demand.ts'
import { TRACKS } from './rules.ts'
import type { Sizing } from './sizing.ts'
import { costOf, sizeOf, type UnitCosts } from './unit-costs.ts'

/** What is on disks and in memory. */
export type Kept = {
  /** After the whole retention: log and tiles, and of the projections what grows with time. */
  logGb: number
  diskGb: number
  /** The same log as an archive, and its entries as a Parquet file. */
  archiveGb: number
  parquetGb: number
  writtenMbPerSecond: number
  instanceMb: number
  /** Of the database: rows that are written again and again. */
  hotGb: number
}

const SECONDS_A_DAY = 86_400
const QUARTERS_A_DAY = 96
const GB = 1e9

/** The log is never cut: disks hold all of the retention. */
export function keptBy(costs: UnitCosts, demand: Demand, sizing: Sizing): Kept {
  const { keys, keyCount, retentionDays } = demand
  const { shards, flushesPerCommit, rows } = sizing
  const { rowBytes, memory } = costs
  const flushes = flushesOf(demand)
  const kept = flushes * SECONDS_A_DAY * retentionDays
  const logBytes = sizeOf(costs.logBytes, keys) + costs.tileBytes
  // A row a key and quarter of an hour in every shard that counted it.
  const inQuarter = ((flushes * keys) / shards) * (SECONDS_A_DAY / QUARTERS_A_DAY)
  const usageRows = Math.min(keyCount, inQuarter) * shards * QUARTERS_A_DAY * retentionDays
  const snapshots = kept * keys * (rowBytes.snapshotPerId / TRACKS.snapshotEntriesOfId)
  const counters = shards * keyCount * rowBytes.counters
  const walBytes = costOf(costs.walBytes, flushesPerCommit, keys) + rows * costs.row.walBytes
  return {
    logGb: (kept * logBytes) / GB,
    diskGb: (kept * logBytes + snapshots + usageRows * rowBytes.usage + counters) / GB,
    archiveGb: (kept * sizeOf(costs.archiveBytes, keys)) / GB,
    parquetGb: (kept * sizeOf(costs.parquetBytes, keys)) / GB,
    // What is logged of each change, and the pages of the log, which are written once more.
    writtenMbPerSecond: (flushes * (walBytes + logBytes)) / 1e6,
    instanceMb: memory.instance + memory.shard * shards + memory.key * keyCount,
    hotGb: (shards * keyCount * (rowBytes.counters + rowBytes.usage)) / GB,
  }
}
