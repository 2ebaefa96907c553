import { readResults } from '../results.ts'
import { readPlanArguments } from './arguments.ts'
import { endsOf } from './ends.ts'
import { latencyOf } from './latency.ts'
import { plan } from './plan.ts'
import { formatPlan } from './print.ts'
import { toUnitCosts } from './unit-costs.ts'

/** `bun run bench plan …`: prints what a demand needs, by the last measured costs. */
export async function printPlan(args: string[]): Promise<void> {
  const parsed = readPlanArguments(args)
  if (typeof parsed === 'string') return fail(parsed)
  const { demand, assumed, json, results } = parsed
  const { shards, costs, footprint } = await readResults(results ?? undefined)
  if (!shards || !costs)
    return fail('There are no measured costs yet. Run `bun run bench costs shards` first.')
  const unitCosts = toUnitCosts(shards.result, costs.result, footprint?.result)
  const found = plan(unitCosts, demand, assumed)
  const latency = latencyOf(unitCosts, found, assumed)
  const ends = endsOf(unitCosts, demand, assumed)
  if (json) {
    const text = JSON.stringify({ plan: found, latency, ends, assumed, unitCosts }, null, 1)
    console.log(text)
  } else console.log(formatPlan(found, latency, ends, assumed))
}

function fail(text: string): void {
  console.error(text)
  process.exitCode = 1
}
