import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { startTestService, type TestService } from '../support/service.ts'
import { readAll, toAnswer } from './exact.ts'
import { type Accepted, Model } from './model.ts'
import { apiKeyRowsOf, groupRowsOf, keyRowsOf, summaryOf } from './model-reads.ts'
import { type Phase, phases } from './phases.ts'
import { postPhase } from './post-phase.ts'
import { Range } from './range.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { compareLog } from './stored.ts'
import { type Bounds, Watch } from './watch.ts'

const runs = runsOf(25)

test(
  `two instances count what both are posted at once exactly once, and reads never go back, in ${runs} runs`,
  async () => {
    const property = fc.asyncProperty(phases, async (phases) => {
      const one = await startTestService()
      const two = await startTestService({ database: one.database })
      try {
        await runPhases([one, two], phases)
      } finally {
        await two.stop()
        await one.end()
      }
    })
    // No shrinking: the same phases need not fail again.
    await fc.assert(property, { ...parametersOf(runs), endOnFailure: true })
  },
  timeoutOf(runs),
)

async function runPhases(instances: [TestService, TestService], phases: Phase[]): Promise<void> {
  const model = new Model()
  const accepted: Accepted[] = []
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
      await Promise.all(watches.map((watch) => watch.stop()))
    }
    for (const instance of instances) await compareTotals(instance, model)
  }
  await compareLog(instances[0].database, accepted, changes)
}

async function compareTotals(instance: TestService, model: Model): Promise<void> {
  const summary = await toAnswer(await instance.fetch('admin', '/admin/apikey-stats/summary'))
  expect(summary.body).toEqual(summaryOf(model))
  expect(await readAll(instance, 'provider-groups')).toEqual(groupRowsOf(model))
  expect(await readAll(instance, 'api-keys')).toEqual(apiKeyRowsOf(model))
  expect(await readAll(instance, 'keys')).toEqual(keyRowsOf(model))
}
