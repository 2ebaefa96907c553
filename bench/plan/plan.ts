import { type Assumptions, type Demand, flushesOf } from './demand.ts'
import { connectionsOf } from './rules.ts'
import { baseCostOf, fsyncUsOf, type Sizing, sizeUp, threadUsOf } from './sizing.ts'
import { storageFor } from './storage.ts'
import type { Resources } from './taken.ts'
import { costOf, sizeOf, type UnitCosts } from './unit-costs.ts'
import { type Use, usesOf } from './uses.ts'

/** Resources that a demand needs, how busy they are, and their price. */
export type Plan = Resources & {
  /** The busiest first. */
  uses: Use[]
  money: { perMonth: number; perBillionCounts: number }
}

const HOURS_PER_MONTH = 730

export function plan(costs: UnitCosts, demand: Demand, assumed: Assumptions): Plan {
  const sizing = sizeUp(costs, demand, assumed)
  const { shards, flushesPerCommit, rows } = sizing
  const instances = sizing.instances + assumed.spare
  const flushes = flushesOf(demand)
  const servicePolling = instances * baseCostOf(costs.idle.service, shards)
  const databasePolling = instances * baseCostOf(costs.idle.database, shards)
  const serviceCores = serviceCoresOf(costs, demand, { ...sizing, instances }) + servicePolling
  const databaseCores = databaseCoresOf(costs, demand, sizing, assumed) + databasePolling
  const storage = storageFor(costs, demand, sizing)
  const databaseNodes = Math.max(
    1,
    Math.ceil(databaseCores / (assumed.utilisation * assumed.nodeCores)),
    Math.ceil(storage.writtenMbPerSecond / (assumed.utilisation * assumed.nodeDiskMbPerSecond)),
  )
  const found = {
    demand,
    ...storage,
    flushesPerSecond: flushes,
    countsPerSecond: flushes * demand.keys,
    ...{ shards, instances, flushesPerCommit, serviceCores, databaseCores, databaseNodes },
    // Bounded by the disks: commits that wait at the same time share an fsync.
    fsyncsPerSecond: Math.min(flushes / flushesPerCommit, (databaseNodes * 1e6) / fsyncUsOf(costs)),
    connections: instances * connectionsOf(shards),
    networkMbitPerSecond: networkOf(costs, demand, instances),
    rowsPerSecond: rows * flushes,
    pollingCores: servicePolling + databasePolling,
    ...acrossNodes(costs, databaseNodes, flushes / flushesPerCommit, assumed),
    summaryMs: baseCostOf(costs.summary.database, shards) / 1e3,
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
  // The other threads collect garbage and compile.
  const otherThreadsUs =
    costOf(costs.service, flushesPerCommit, keys) - costOf(costs.thread, flushesPerCommit, keys)
  const flushUs = threadUsOf(costs, demand, sizing) + Math.max(0, otherThreadsUs)
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
  const readUs = baseCostOf(costs.summary.database, shards)
  return (
    (flushesOf(demand) * flushUs + readsPerSecond * readUs) / 1e6 +
    costs.growing.database * (shards - 1)
  )
}

/** Additional costs of several database nodes; assumed, because they were not measured. */
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
    // Two-phase commit: prepared on each node, decided on one, committed on each.
    catalogLockMs: 2 * roundTripMs + 3 * fsyncMs,
  }
}

/** Traffic of clients, of the database, and of events that projectors read back from the log. */
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
  const networkGb = (found.networkMbitPerSecond / 8 / 1e3) * 3_600 * HOURS_PER_MONTH
  const perMonth =
    cores * HOURS_PER_MONTH * price.coreHour +
    found.diskGb * price.diskGbMonth +
    found.archiveGb * price.archiveGbMonth +
    networkGb * price.networkGb
  const counts = found.countsPerSecond * 3_600 * HOURS_PER_MONTH
  return { perMonth, perBillionCounts: (perMonth * 1e9) / counts }
}
