import { type Assumptions, type Demand, flushesOf } from './demand.ts'
import { rowsOfFlush } from './predict.ts'
import { largestBatch } from './rules.ts'
import { type BaseCost, costOf, sizeOf, type UnitCosts } from './unit-costs.ts'

/** Shards and instances for a demand, and how flushes share commits and rows. */
export type Sizing = {
  shards: number
  /** Without spare ones; infinite if polling the shards takes a whole instance. */
  instances: number
  flushesPerCommit: number
  /** Rows of counters and usage written per flush. */
  rows: number
}

export const fsyncUsOf = ({ fsync }: UnitCosts) => fsync.meanMs * 1e3

export const baseCostOf = ({ instance, shard }: BaseCost, shards: number) =>
  instance + shard * shards

/** Time (µs) per flush that the largest batch holds the lock of its shard. */
export function lockUsOf(costs: UnitCosts, keys: number): number {
  const maxBatch = largestBatch(sizeOf(costs.logBytes, keys))
  return costOf(costs.append, maxBatch, keys) + fsyncUsOf(costs) / maxBatch
}

/** Main thread time (µs) per flush if this many instances share the work. */
export function threadUsOf(
  costs: UnitCosts,
  { keys }: Pick<Demand, 'keys'>,
  { flushesPerCommit, rows, instances }: Omit<Sizing, 'shards'>,
): number {
  return (
    costOf(costs.thread, flushesPerCommit, keys) +
    rows * costs.row.service +
    (1 - 1 / instances) * sizeOf(costs.readBack, keys)
  )
}

/** Returns the fewest shards and instances that stay within the assumed utilisation. */
export function sizeUp(costs: UnitCosts, demand: Demand, { utilisation }: Assumptions): Sizing {
  const flushes = flushesOf(demand)
  const busiest = utilisation * 1e6
  const shards = Math.max(1, Math.ceil((flushes * lockUsOf(costs, demand.keys)) / busiest))
  const flushesPerCommit = batchOf(costs, demand, flushes / shards)
  const rows = rowsOfFlush(costs, { shards, ...demand }, flushes)
  const free = utilisation - baseCostOf(costs.idle.service, shards)
  let instances = 1
  for (let i = 0; i < 50 && Number.isFinite(instances); i++) {
    const threadUs = threadUsOf(costs, demand, { flushesPerCommit, rows, instances })
    const busy = (flushes * threadUs) / 1e6 + costs.growing.service * (shards - 1)
    instances = free <= 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(busy / free))
  }
  return { shards, instances, flushesPerCommit, rows }
}

/**
 * Flushes per commit: one while the shard's lock has enough time for that, otherwise as many as are
 * needed to have time for all.
 */
function batchOf(costs: UnitCosts, { keys }: Demand, flushesOfShard: number): number {
  const maxBatch = largestBatch(sizeOf(costs.logBytes, keys))
  const fixedUs = costs.append.commit + fsyncUsOf(costs)
  const left = 1 - (flushesOfShard * (costs.append.flush + costs.append.key * keys)) / 1e6
  if (left <= 0) return maxBatch
  return Math.min(maxBatch, Math.max(1, (flushesOfShard * fixedUs) / 1e6 / left))
}
