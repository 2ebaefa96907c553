import type { Assumptions } from './demand.ts'
import { MAX_SHARDS } from './rules.ts'
import { fsyncUsOf, lockUsOf, standingOf } from './sizing.ts'
import type { Taken } from './taken.ts'
import { sizeOf, type UnitCosts } from './unit-costs.ts'

/**
 * A resource, and how many of its unit a demand takes: above 1, one is not enough. What `divides`
 * is relieved by more of them; what doesn't is an end of the design as it stands.
 */
export type Use = { resource: string; unit: string; of: number; divides: boolean }

/** All resources, the busiest first. */
export function usesOf(
  costs: UnitCosts,
  plan: Taken,
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
    // An instance goes from shard to shard of those that it tends.
    ['adding leaves to trees', 'an instance', cores(costs.integrate)],
    ['keeping tree heads', "an instance's disk", (shards * fsyncUsOf(costs)) / 1e6],
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
    ['projecting a shard', 'one pass at a time', cores(projectUs) / shards],
    [
      'looking at every shard',
      'an instance',
      standingOf(costs.idle.service, shards) + (costs.growing.service * shards) / plan.instances,
    ],
    ['passing on appends', 'a coordinator', plan.coordinatorCores / assumed.nodeCores],
    [
      'connections',
      `${assumed.nodeConnections} of one server`,
      plan.connections / assumed.nodeConnections,
    ],
    ['shards', `${MAX_SHARDS.toLocaleString('en')} of one database`, shards / MAX_SHARDS],
  ]
  const as = (divides: boolean) => (use: [string, string, number]) => {
    const [resource, unit, of] = use
    return { resource, unit, of, divides }
  }
  return [...divided.map(as(true)), ...whole.map(as(false))].sort((a, b) => b.of - a.of)
}
