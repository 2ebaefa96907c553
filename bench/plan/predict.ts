import type { Layout } from '../sections/shards.ts'
import { batchPeriodMs, distinct } from './rules.ts'
import { costOf, sizeOf, type UnitCosts } from './unit-costs.ts'

/** Clients that post again as soon as they are answered, on one machine with the service. */
export type ClosedLoad = Layout & {
  keys: number
  connections: number
  /** Number of different keys posted. */
  keyCount: number
  /** Cores shared by service, database and generators. */
  cores: number
}

export type Bound = 'cores' | 'service thread' | 'generator' | 'shard' | 'waiting clients'

/** Flushes per second, all bounds, and the lowest one. */
export type Prediction = {
  perSecond: number
  bound: Bound
  bounds: Record<Bound, number>
  flushesPerCommit: number
  /** Rows of counters written per flush. */
  rows: number
}

/**
 * Returns the lowest bound that each resource sets by itself. Half of the clients of an appender
 * are in its batch, and the others between an answer and the next batch.
 */
export function predict(costs: UnitCosts, load: ClosedLoad): Prediction {
  const { shards, instances, keys, connections } = load
  const flushesPerCommit = Math.max(1, connections / (shards * instances) / 2)
  let found = boundsAt(costs, load, flushesPerCommit, 0)
  let rows = 0
  // Rows depend on the number of flushes between two batches of the projector.
  for (let i = 0; i < 20; i++) {
    rows = (rows + rowsOfFlush(costs, load, Math.min(...Object.values(found)))) / 2
    found = boundsAt(costs, load, flushesPerCommit, rows)
  }
  const perSecond = Math.min(...Object.values(found))
  const bound = (Object.keys(found) as Bound[]).find((name) => found[name] === perSecond)!
  return { perSecond, bound, bounds: found, flushesPerCommit, rows: keys === 0 ? 0 : rows }
}

function boundsAt(
  costs: UnitCosts,
  { shards, instances, keys, connections, cores }: ClosedLoad,
  flushesPerCommit: number,
  rows: number,
): Record<Bound, number> {
  const { idle, growing, fsync } = costs
  const readBack = (1 - 1 / instances) * sizeOf(costs.readBack, keys)
  const background = rows * costs.row.service + readBack
  const thread = costOf(costs.thread, flushesPerCommit, keys) + background
  const service = costOf(costs.service, flushesPerCommit, keys) + background
  const append = costOf(costs.append, flushesPerCommit, keys)
  const database = append + costs.integrate + rows * costs.row.database
  const generator = costOf(costs.generator, flushesPerCommit, keys)
  const idleCores =
    instances * (idle.service.instance + idle.database.instance) +
    instances * shards * (idle.service.shard + idle.database.shard) +
    // The cost of a flush includes that of the first shard.
    (shards - 1) * (growing.service + growing.database)
  const fsyncUs = fsync.meanMs * 1e3
  const commitUs = append * flushesPerCommit + fsyncUs
  return {
    cores: (Math.max(cores - idleCores, 0.05) * 1e6) / (service + database + generator),
    'service thread': (instances * 1e6) / thread,
    generator: (instances * 1e6) / generator,
    shard: (shards * flushesPerCommit * 1e6) / commitUs,
    'waiting clients': (connections * 1e6) / (generator + thread + commitUs),
  }
}

/** Rows that the projector's batches write per flush. */
export function rowsOfFlush(
  costs: UnitCosts,
  { shards, keys, keyCount }: Pick<ClosedLoad, 'shards' | 'keys' | 'keyCount'>,
  perSecond: number,
): number {
  const shardPerSecond = perSecond / shards
  let periodMs = batchPeriodMs(0)
  let rows = 0
  for (let i = 0; i < 20; i++) {
    rows = distinct((shardPerSecond * keys * periodMs) / 1e3, keyCount)
    periodMs = batchPeriodMs((rows * costs.row.database) / 1e3)
  }
  return rows / ((shardPerSecond * periodMs) / 1e3)
}
