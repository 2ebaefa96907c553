import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { startTestService, type TestService, useService } from '../support/service.ts'
import { readAll, toAnswer } from './exact.ts'
import { Model } from './model.ts'
import { apiKeyRowsOf, groupRowsOf, keyRowsOf, summaryOf } from './model-reads.ts'
import { type Phase, phases } from './phases.ts'
import { type Posted, postPhase } from './post-phase.ts'
import { Range } from './range.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { compareLog } from './stored.ts'
import { type Bounds, compareReadings, type Reading, Watch } from './watch.ts'

const runs = runsOf(8)

// Two instances for all runs. Each run has ids of its own, and the totals of all runs add up.
// The second instance stops before `useService` drops the database.
afterAll(() => instances[1].stop())
const one = useService()
let instances: [TestService, TestService]
const model = new Model()
const accepted: Posted[] = []
/** Positions of the catalog changes. */
const changes: string[] = []
const bounds: Bounds = { attempted: 0n, acknowledged: 0n, positions: [] }

beforeAll(async () => {
  instances = [one, await startTestService({ database: one.database })]
})

test(
  `two instances count each flush once, and reads never go backwards, in ${runs} runs`,
  async () => {
    let run = 0
    const property = fc.asyncProperty(phases, (phases) => runPhases(phases, new Range(run++)))
    // No shrinking: the same phases may not fail again.
    await fc.assert(property, { ...parametersOf(runs), endOnFailure: true })
    await compareLog(one.database, model, accepted, changes)
    const retries = accepted.reduce((sum, { tries }) => sum + tries - 1, 0)
    expect(retries).toBeGreaterThan(runs)
  },
  timeoutOf(runs),
)

async function runPhases(phases: Phase[], range: Range): Promise<void> {
  const readings: Reading[] = []
  for (const { catalog, by, posts } of phases) {
    const moved = range.moveCatalog(catalog)
    const isPut = model.putCatalog(moved) !== null
    const put = await toAnswer(await instances[by].putCatalog(moved))
    expect(put.status).toBe(isPut ? 200 : 409)
    if (isPut) changes.push(put.positions!)
    // Immediately: the other instance has not seen the change yet.
    const watches = instances.flatMap((instance) => [
      new Watch(instance, 'strong', bounds),
      new Watch(instance, 'eventual', bounds),
    ])
    try {
      accepted.push(...(await postPhase(instances, { model, range, bounds }, posts)))
    } finally {
      readings.push(...(await Promise.all(watches.map((watch) => watch.stop()))).flat())
    }
    for (const instance of instances) await compareTotals(instance)
  }
  compareReadings(readings, accepted)
}

async function compareTotals(instance: TestService): Promise<void> {
  const summary = await toAnswer(await instance.fetch('admin', '/admin/apikey-stats/summary'))
  expect(summary.body).toEqual(summaryOf(model))
  expect(await readAll(instance, 'provider-groups')).toEqual(groupRowsOf(model))
  expect(await readAll(instance, 'api-keys')).toEqual(apiKeyRowsOf(model))
  expect(await readAll(instance, 'keys')).toEqual(keyRowsOf(model))
}
