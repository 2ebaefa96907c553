import type { Assumptions, Demand } from './demand.ts'
import { type Plan, plan } from './plan.ts'
import type { UnitCosts } from './unit-costs.ts'
import type { Use } from './uses.ts'

/** Resources that a demand `factor` times as large exceeds and more machines do not relieve. */
export type End = { factor: number; plan: Plan; broken: Use[] }

/** Returns the limits of the current design for multiples of a demand. */
export function endsOf(
  costs: UnitCosts,
  demand: Demand,
  assumed: Assumptions,
  factors = [1, 10, 100, 1_000],
): End[] {
  return factors.map((factor) => {
    const found = plan(costs, { ...demand, dps: demand.dps * factor }, assumed)
    return { factor, plan: found, broken: found.uses.filter((use) => !use.divides && use.load > 1) }
  })
}
