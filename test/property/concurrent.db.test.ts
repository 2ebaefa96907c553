import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { startTestService, type TestService } from '../support/service.ts'
import { readAll, toAnswer } from './exact.ts'
import { Model } from './model.ts'
import { apiKeyRowsOf, groupRowsOf, keyRowsOf, summaryOf } from './model-reads.ts'
import { type Phase, phases } from './phases.ts'
import { type Posted, postPhase } from './post-phase.ts'
import { Range } from './range.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { compareLog } from './stored.ts'
import { type Bounds, compareReadings, type Reading, Watch } from './watch.ts'

const runs = runsOf(20)

test(
  `two instances count what both are posted at once exactly once, and reads never go back, in ${runs} runs`,
  async () => {
    let retries = 0
    const property = fc.asyncProperty(phases, async (phases) => {
      const one = await startTestService()
      const two = await startTestService({ database: one.database })
      try {
        retries += await runPhases([one, two], phases)
      } finally {
        await two.stop()
        await one.end()
      }
    })
    // No shrinking: the same phases need not fail again.
    await fc.assert(property, { ...parametersOf(runs), endOnFailure: true })
    expect(retries).toBeGreaterThan(runs)
  },
  timeoutOf(runs),
)

/** Gives the number of retries that were sent. */
async function runPhases(instances: [TestService, TestService], phases: Phase[]): Promise<number> {
  const model = new Model()
  const accepted: Posted[] = []
  const readings: Reading[] = []
  const changes: string[] = []
  const bounds: Bounds = { attempted: 0n, acknowledged: 0n, positions: [] }
  for (const { catalog, by, postings } of phases) {
    const moved = new Range(0).moveCatalog(catalog)
    model.putCatalog(moved)
    const put = await toAnswer(await instances[by].putCatalog(moved))
    expect(put.status).toBe(200)
    changes.push(put.positions!)
    // At once: the instance that did not make the change has not seen it yet.
    const watches = instances.flatMap((instance) => [
      new Watch(instance, 'strong', bounds),
      new Watch(instance, 'eventual', bounds),
    ])
    try {
      accepted.push(...(await postPhase(instances, model, postings, bounds)))
    } finally {
      readings.push(...(await Promise.all(watches.map((watch) => watch.stop()))).flat())
    }
    for (const instance of instances) await compareTotals(instance, model)
  }
  compareReadings(readings, accepted)
  await compareLog(instances[0].database, accepted, changes)
  return accepted.reduce((retries, { tries }) => retries + tries - 1, 0)
}

async function compareTotals(instance: TestService, model: Model): Promise<void> {
  const summary = await toAnswer(await instance.fetch('admin', '/admin/apikey-stats/summary'))
  expect(summary.body).toEqual(summaryOf(model))
  expect(await readAll(instance, 'provider-groups')).toEqual(groupRowsOf(model))
  expect(await readAll(instance, 'api-keys')).toEqual(apiKeyRowsOf(model))
  expect(await readAll(instance, 'keys')).toEqual(keyRowsOf(model))
}
