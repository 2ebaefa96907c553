import { type Assumptions, type Demand, flushesOf } from './demand.ts'
import { keptBy } from './kept.ts'
import { connectionsOf } from './rules.ts'
import { fsyncUsOf, type Sizing, sizeUp, standingOf, threadUsOf } from './sizing.ts'
import type { Taken } from './taken.ts'
import { costOf, sizeOf, type UnitCosts } from './unit-costs.ts'
import { type Use, usesOf } from './uses.ts'

/** What a demand takes, what of it is busy, and what it costs. */
export type Plan = Taken & {
  /** The busiest first. */
  uses: Use[]
  money: { perMonth: number; perBillionCounts: number }
}

const HOURS_A_MONTH = 730

export function plan(costs: UnitCosts, demand: Demand, assumed: Assumptions): Plan {
  const sizing = sizeUp(costs, demand, assumed)
  const { shards, flushesPerCommit, rows } = sizing
  const instances = sizing.instances + assumed.spare
  const flushes = flushesOf(demand)
  const serviceLooking = instances * standingOf(costs.idle.service, shards)
  const databaseLooking = instances * standingOf(costs.idle.database, shards)
  const serviceCores = serviceCoresOf(costs, demand, { ...sizing, instances }) + serviceLooking
  const databaseCores = databaseCoresOf(costs, demand, sizing, assumed) + databaseLooking
  const kept = keptBy(costs, demand, sizing)
  const databaseNodes = Math.max(
    1,
    Math.ceil(databaseCores / (assumed.utilisation * assumed.nodeCores)),
    Math.ceil(kept.writtenMbPerSecond / (assumed.utilisation * assumed.nodeDiskMbPerSecond)),
  )
  const found = {
    demand,
    ...kept,
    flushesPerSecond: flushes,
    countsPerSecond: flushes * demand.keys,
    ...{ shards, instances, flushesPerCommit, serviceCores, databaseCores, databaseNodes },
    // Commits that wait at the same time share one, and a disk can't do more.
    fsyncsPerSecond: Math.min(flushes / flushesPerCommit, (databaseNodes * 1e6) / fsyncUsOf(costs)),
    connections: instances * connectionsOf(shards),
    networkMbitPerSecond: networkOf(costs, demand, instances),
    rowsPerSecond: rows * flushes,
    lookingCores: serviceLooking + databaseLooking,
    ...acrossNodes(costs, databaseNodes, flushes / flushesPerCommit, assumed),
    summaryMs: standingOf(costs.summary.database, shards) / 1e3,
  }
  const threadUs = threadUsOf(costs, demand, sizing)
  return {
    ...found,
    uses: usesOf(costs, found, { rows, threadUs }, assumed),
    money: moneyOf(found, assumed),
  }
}

function serviceCoresOf(costs: UnitCosts, demand: Demand, sizing: Sizing): number {
  const { keys } = demand
  const { flushesPerCommit, shards } = sizing
  // The threads beside the program's own: those that collect garbage and compile.
  const besideUs =
    costOf(costs.service, flushesPerCommit, keys) - costOf(costs.thread, flushesPerCommit, keys)
  const flushUs = threadUsOf(costs, demand, sizing) + Math.max(0, besideUs)
  return (flushesOf(demand) * flushUs) / 1e6 + costs.growing.service * (shards - 1)
}

function databaseCoresOf(
  costs: UnitCosts,
  demand: Demand,
  { shards, flushesPerCommit, rows }: Sizing,
  { readsPerSecond }: Assumptions,
): number {
  const flushUs =
    costOf(costs.append, flushesPerCommit, demand.keys) +
    costs.integrate +
    rows * costs.row.database
  const readUs = standingOf(costs.summary.database, shards)
  return (
    (flushesOf(demand) * flushUs + readsPerSecond * readUs) / 1e6 +
    costs.growing.database * (shards - 1)
  )
}

/** What more than one database node brings with it; assumed, as none was measured. */
function acrossNodes(
  costs: UnitCosts,
  nodes: number,
  commitsPerSecond: number,
  { coordinatorShare, roundTripMs }: Assumptions,
) {
  const fsyncMs = costs.fsync.meanMs
  if (nodes === 1) return { coordinatorCores: 0, catalogLockMs: fsyncMs }
  return {
    coordinatorCores: (commitsPerSecond * costs.append.commit * coordinatorShare) / 1e6,
    // Prepared on each node, decided on one, committed on each.
    catalogLockMs: 2 * roundTripMs + 3 * fsyncMs,
  }
}

/** Of clients, between service and database, and what a projector reads that others appended. */
function networkOf(costs: UnitCosts, demand: Demand, instances: number): number {
  const { keys } = demand
  const readBack = (1 - 1 / instances) * sizeOf(costs.logBytes, keys)
  const bytes = sizeOf(costs.httpBytes, keys) + sizeOf(costs.databaseBytes, keys)
  return (flushesOf(demand) * (bytes + readBack) * 8) / 1e6
}

function moneyOf(found: Omit<Plan, 'uses' | 'money'>, { price, utilisation }: Assumptions) {
  const cores =
    Math.max(found.instances, found.serviceCores / utilisation) +
    Math.max(found.databaseNodes, found.databaseCores / utilisation)
  const networkGb = (found.networkMbitPerSecond / 8 / 1e3) * 3_600 * HOURS_A_MONTH
  const perMonth =
    cores * HOURS_A_MONTH * price.coreHour +
    found.diskGb * price.diskGbMonth +
    found.archiveGb * price.archiveGbMonth +
    networkGb * price.networkGb
  const counts = found.countsPerSecond * 3_600 * HOURS_A_MONTH
  return { perMonth, perBillionCounts: (perMonth * 1e9) / counts }
}
