import type { Assumptions } from './demand.ts'
import type { Plan } from './plan.ts'
import { type Outcome, simulate } from './simulate.ts'
import type { UnitCosts } from './unit-costs.ts'

/** Cores per instance: one for the main thread, one for garbage collection. */
const INSTANCE_CORES = 2

/** Flushes to simulate, within bounds of simulated seconds: few proxies take long to post them. */
const FLUSHES = 40_000
const SECONDS = { min: 1, max: 30 }

/**
 * Simulates the latency of flushes in the service and the queue length of a plan. Of a plan with
 * many instances and shards, only one of its equal parts is simulated.
 */
export function latencyOf(costs: UnitCosts, plan: Plan, assumed: Assumptions): Outcome {
  const instances = Math.max(1, plan.instances - assumed.spare)
  const parts = Math.min(plan.shards, instances)
  const share = (whole: number) => Math.max(1, Math.round(whole / parts))
  const partPerSecond = plan.flushesPerSecond / parts
  return simulate(costs, {
    shards: share(plan.shards),
    instances: share(instances),
    keys: plan.demand.keys,
    keyCount: plan.demand.keyCount,
    posting: {
      kind: 'open',
      proxies: share(plan.demand.dps),
      intervalMs: plan.demand.intervalSeconds * 1_000,
      jitter: 0.1,
    },
    cores: {
      service: share(instances) * INSTANCE_CORES,
      database: Math.max(1, (plan.databaseNodes * assumed.nodeCores) / parts),
    },
    seconds: Math.min(Math.max(FLUSHES / partPerSecond, SECONDS.min), SECONDS.max),
    seed: 1,
  })
}
