import type { Assumptions } from './demand.ts'
import type { Plan } from './plan.ts'
import { type Outcome, simulate } from './simulate.ts'
import type { UnitCosts } from './unit-costs.ts'

/** Cores that an instance is given: one for its program, one for what collects garbage. */
const INSTANCE_CORES = 2

/** As many flushes are simulated, in bounds of time: few proxies take long to post so many. */
const FLUSHES = 40_000
const SECONDS = { fewest: 1, most: 30 }

/**
 * How long flushes of a plan take from the service's door to its answer, and how many wait:
 * simulated, of a plan with many shards a part that has one.
 */
export function latencyOf(costs: UnitCosts, plan: Plan, assumed: Assumptions): Outcome {
  const instances = Math.max(1, plan.instances - assumed.spare)
  const parts = Math.min(plan.shards, instances)
  const of = (whole: number) => Math.max(1, Math.round(whole / parts))
  const ofPart = plan.flushesPerSecond / parts
  return simulate(costs, {
    shards: of(plan.shards),
    instances: of(instances),
    keys: plan.demand.keys,
    keyCount: plan.demand.keyCount,
    posting: {
      kind: 'open',
      proxies: of(plan.demand.dps),
      intervalMs: plan.demand.intervalSeconds * 1_000,
      jitter: 0.1,
    },
    cores: {
      service: of(instances) * INSTANCE_CORES,
      database: Math.max(1, (plan.databaseNodes * assumed.nodeCores) / parts),
    },
    seconds: Math.min(Math.max(FLUSHES / ofPart, SECONDS.fewest), SECONDS.most),
    seed: 1,
  })
}
