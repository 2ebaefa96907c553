import { readResults } from '../results.ts'
import { readPlanArguments } from './arguments.ts'
import { endsOf } from './ends.ts'
import { latencyOf } from './latency.ts'
import { plan } from './plan.ts'
import { printable } from './print.ts'
import { toUnitCosts } from './unit-costs.ts'

/** `bun run bench plan …`: prints what a demand takes, by what was measured last. */
export async function printPlan(args: string[]): Promise<void> {
  const asked = readPlanArguments(args)
  if (typeof asked === 'string') return fail(asked)
  const { demand, assumed, json, results } = asked
  const { shards, costs, footprint } = await readResults(results ?? undefined)
  if (!shards || !costs) return fail('Nothing was measured yet: bun run bench costs shards')
  const unitCosts = toUnitCosts(shards.result, costs.result, footprint?.result)
  const found = plan(unitCosts, demand, assumed)
  const latency = latencyOf(unitCosts, found, assumed)
  const ends = endsOf(unitCosts, demand, assumed)
  if (json) {
    const text = JSON.stringify({ plan: found, latency, ends, assumed, unitCosts }, null, 1)
    console.log(text)
  } else console.log(printable(found, latency, ends, assumed))
}

function fail(text: string): void {
  console.error(text)
  process.exitCode = 1
}
