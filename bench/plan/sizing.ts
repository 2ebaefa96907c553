import { type Assumptions, type Demand, flushesOf } from './demand.ts'
import { rowsOfFlush } from './predict.ts'
import { largestBatch } from './rules.ts'
import { costOf, type Standing, sizeOf, type UnitCosts } from './unit-costs.ts'

/** How many of what a demand takes, and how flushes share commits and rows then. */
export type Sizing = {
  shards: number
  /** Without those to spare; infinite where looking at every shard takes an instance whole. */
  instances: number
  flushesPerCommit: number
  /** Rows of counters and usage that a flush adds to what is written. */
  rows: number
}

export const fsyncUsOf = ({ fsync }: UnitCosts) => fsync.meanMs * 1e3

export const standingOf = ({ instance, shard }: Standing, shards: number) =>
  instance + shard * shards

/** µs of a shard's lock that a flush takes in the largest batch. */
export function lockUsOf(costs: UnitCosts, keys: number): number {
  const most = largestBatch(sizeOf(costs.logBytes, keys))
  return costOf(costs.append, most, keys) + fsyncUsOf(costs) / most
}

/** µs of the service's thread that a flush takes where so many instances share the work. */
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

/** The fewest shards and instances of which none is busier than assumed. */
export function sizeUp(costs: UnitCosts, demand: Demand, { utilisation }: Assumptions): Sizing {
  const flushes = flushesOf(demand)
  const busiest = utilisation * 1e6
  const shards = Math.max(1, Math.ceil((flushes * lockUsOf(costs, demand.keys)) / busiest))
  const flushesPerCommit = batchOf(costs, demand, flushes / shards)
  const rows = rowsOfFlush(costs, { shards, ...demand }, flushes)
  const free = utilisation - standingOf(costs.idle.service, shards)
  let instances = 1
  for (let i = 0; i < 50 && Number.isFinite(instances); i++) {
    const threadUs = threadUsOf(costs, demand, { flushesPerCommit, rows, instances })
    const busy = (flushes * threadUs) / 1e6 + costs.growing.service * (shards - 1)
    instances = free <= 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(busy / free))
  }
  return { shards, instances, flushesPerCommit, rows }
}

/**
 * Flushes of a commit: one, as long as the shard's lock has time for that, and then as many as it
 * takes to have time for all.
 */
function batchOf(costs: UnitCosts, { keys }: Demand, flushesOfShard: number): number {
  const most = largestBatch(sizeOf(costs.logBytes, keys))
  const fixedUs = costs.append.commit + fsyncUsOf(costs)
  const left = 1 - (flushesOfShard * (costs.append.flush + costs.append.key * keys)) / 1e6
  if (left <= 0) return most
  return Math.min(most, Math.max(1, (flushesOfShard * fixedUs) / 1e6 / left))
}
