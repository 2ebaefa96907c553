import type { Assumptions, Demand } from './demand.ts'
import { type Plan, plan } from './plan.ts'
import type { UnitCosts } from './unit-costs.ts'
import type { Use } from './uses.ts'

/** Of a demand so many times as large, what more machines don't relieve: the busiest first. */
export type End = { factor: number; plan: Plan; broken: Use[] }

/** Where the design as it stands ends on the way to a multiple of a demand. */
export function endsOf(
  costs: UnitCosts,
  demand: Demand,
  assumed: Assumptions,
  factors = [1, 10, 100, 1_000],
): End[] {
  return factors.map((factor) => {
    const found = plan(costs, { ...demand, dps: demand.dps * factor }, assumed)
    return { factor, plan: found, broken: found.uses.filter((use) => !use.divides && use.of > 1) }
  })
}
