import type { Assumptions } from './demand.ts'
import { MAX_SHARDS } from './rules.ts'
import { baseCostOf, fsyncUsOf, lockUsOf } from './sizing.ts'
import type { Resources } from './taken.ts'
import { sizeOf, type UnitCosts } from './unit-costs.ts'

/**
 * A resource and the multiple of its unit that a demand needs; above 1, one is not enough. More
 * units relieve a resource that `divides`; any other one is a limit of the current design.
 */
export type Use = { resource: string; unit: string; load: number; divides: boolean }

/** Returns all resources, busiest first. */
export function usesOf(
  costs: UnitCosts,
  plan: Resources,
  { rows, threadUs }: { rows: number; threadUs: number },
  assumed: Assumptions,
): Use[] {
  const { shards, flushesPerSecond: flushes } = plan
  const { keys } = plan.demand
  const cores = (us: number) => (flushes * us) / 1e6
  const others = 1 - 1 / plan.instances
  const projectUs = rows * costs.row.database + others * sizeOf(costs.readBack, keys)
  const divided: [string, string, number][] = [
    ['service thread', 'an instance', cores(threadUs)],
    ['append lock', 'a shard', cores(lockUsOf(costs, keys))],
    // An instance integrates its shards one after the other.
    ['adding leaves to trees', 'an instance', cores(costs.integrate)],
    ['persisting tree heads', "an instance's disk", (shards * fsyncUsOf(costs)) / 1e6],
    ['database cores', `a node of ${assumed.nodeCores}`, plan.databaseCores / assumed.nodeCores],
    [
      'writing to disk',
      `${assumed.nodeDiskMbPerSecond} MB/s of a node`,
      plan.writtenMbPerSecond / assumed.nodeDiskMbPerSecond,
    ],
    [
      'network',
      `${assumed.networkMbitPerSecond.toLocaleString('en')} Mbit/s of a machine`,
      plan.networkMbitPerSecond / assumed.networkMbitPerSecond,
    ],
  ]
  const whole: [string, string, number][] = [
    ['projecting a shard', 'one batch at a time', cores(projectUs) / shards],
    [
      'polling every shard',
      'an instance',
      baseCostOf(costs.idle.service, shards) + (costs.growing.service * shards) / plan.instances,
    ],
    ['forwarding appends', 'a coordinator', plan.coordinatorCores / assumed.nodeCores],
    [
      'connections',
      `${assumed.nodeConnections} of one server`,
      plan.connections / assumed.nodeConnections,
    ],
    ['shards', `${MAX_SHARDS.toLocaleString('en')} of one database`, shards / MAX_SHARDS],
  ]
  const as = (divides: boolean) => (use: [string, string, number]) => {
    const [resource, unit, load] = use
    return { resource, unit, load, divides }
  }
  return [...divided.map(as(true)), ...whole.map(as(false))].sort((a, b) => b.load - a.load)
}
