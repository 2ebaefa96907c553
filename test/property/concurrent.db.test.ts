import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'
import { adoptAtOnce, compareUnknown } from './adoptions.ts'
import { readAll, toAnswer } from './exact.ts'
import { Model } from './model.ts'
import { apiKeyRowsOf, groupRowsOf, keyRowsOf, summaryOf } from './model-reads.ts'
import type { CatalogPut } from './naive-catalog.ts'
import { type Phase, phases } from './phases.ts'
import { type Posted, postPhase, totalOf } from './post-phase.ts'
import { Range } from './range.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { compareLog } from './stored.ts'
import { type Bounds, compareReadings, type Reading, Watch } from './watch.ts'

const runs = runsOf(3)

// Two instances for all runs. Each run has ids of its own, and the totals of all runs add up.
// The second instance stops before `useService` drops the database.
afterAll(() => instances[1].stop())
const one = useService()
let instances: [TestService, TestService]
const model = new Model()
const accepted: Posted[] = []
/** What else is in the log: the types of these events by their positions. */
const others = new Map<string, string>()
/** The adoptions, and by how many requests the summary grew. */
const adopted: { at: string; requests: bigint }[] = []
const bounds: Bounds = { attempted: 0n, acknowledged: 0n, positions: [] }

beforeAll(async () => {
  instances = [one, await startTestService({ database: one.database })]
  const declared = { dimensions: [{ name: 'd_0' }], measures: [{ name: 'm0' }, { name: 'm1' }] }
  model.putCatalog(declared)
  const put = await toAnswer(await one.putCatalog(declared))
  others.set(put.positions!, 'CatalogChanged')
})

test(
  `two instances count each flush once, and reads never go backwards, in ${runs} runs`,
  async () => {
    let run = 0
    const property = fc.asyncProperty(phases, (phases) => runPhases(phases, new Range(run++)))
    // No shrinking: the same phases may not fail again.
    await fc.assert(property, { ...parametersOf(runs), endOnFailure: true })
    await compareLog(one.database, model, accepted, others)
    const retries = accepted.reduce((sum, { tries }) => sum + tries - 1, 0)
    expect(retries).toBeGreaterThan(runs)
    expect(adopted.some(({ requests }) => requests > 0n)).toBe(true)
  },
  timeoutOf(runs),
)

test('an audit compares every act with what it names, and finds nothing', async () => {
  await untilSigned(one)
  const { findings, report } = await auditService(one)
  expect(findings).toEqual([])
  expect(report.acts).toBeGreaterThan(0)
  expect(report.missedActs).toBe(0)
})

async function runPhases(phases: Phase[], range: Range): Promise<void> {
  const readings: Reading[] = []
  for (const { catalog, by, posts, adoption } of phases) {
    const moved = range.moveCatalog(catalog)
    const isPut = typeof model.putCatalog(moved) !== 'string'
    const put = await toAnswer(await instances[by].putCatalog(moved))
    expect(put.status).toBe(isPut ? 200 : 409)
    if (isPut) others.set(put.positions!, 'CatalogChanged')
    // Immediately: the other instance has not seen the change yet.
    const watches = instances.flatMap((instance) => [
      new Watch(instance, 'strong', bounds),
      new Watch(instance, 'eventual', bounds),
    ])
    try {
      accepted.push(...(await postPhase(instances, { model, range, bounds }, posts)))
      await adoptByBoth(range.moveCatalog(adoption))
    } finally {
      readings.push(...(await Promise.all(watches.map((watch) => watch.stop()))).flat())
    }
    for (const instance of instances) await compareTotals(instance)
  }
  compareReadings(readings, [...accepted, ...adopted])
}

/** Adopts keys on both instances at once: one of them counts what the flushes posted. */
async function adoptByBoth(keys: CatalogPut): Promise<void> {
  const before = totalOf(model)
  const expected = model.unknown.adopt(keys)
  const requests = totalOf(model) - before
  bounds.attempted += requests
  const places = await adoptAtOnce(instances, keys, expected)
  bounds.acknowledged += requests
  for (const [at, type] of places) {
    others.set(at, type)
    if (type === 'UnknownKeysAdopted') adopted.push({ at, requests })
  }
}

async function compareTotals(instance: TestService): Promise<void> {
  const summary = await toAnswer(await instance.fetch('admin', '/admin/apikey-stats/summary'))
  expect(summary.body).toEqual(summaryOf(model))
  expect(await readAll(instance, 'provider-groups')).toEqual(groupRowsOf(model))
  expect(await readAll(instance, 'api-keys')).toEqual(apiKeyRowsOf(model))
  expect(await readAll(instance, 'keys')).toEqual(keyRowsOf(model))
  for (const kind of ['api-keys', 'keys'] as const) await compareUnknown(instance, model, kind)
}
