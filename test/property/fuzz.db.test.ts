import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'
import { readAll, toAnswer } from './exact.ts'
import { type FuzzedFlush, fuzzedCatalog, fuzzedFlush } from './fuzz-bodies.ts'
import { type FuzzedRequest, fuzzedRequest } from './fuzz-requests.ts'
import { live, Model } from './model.ts'
import { apiKeyRowsOf, groupRowsOf, keyRowsOf, summaryOf } from './model-reads.ts'
import { PATHS } from './naive-body.ts'
import { readCatalogNaively } from './naive-catalog.ts'
import { sendRaw } from './raw.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

const runs = runsOf(100)
/** Sent at once, a run. */
const FLUSHES = 12
const REQUESTS = 8

let service: TestService
let model: Model

beforeAll(async () => {
  service = await startTestService()
  model = new Model()
})
afterAll(() => service.end())

test(
  `whatever is posted is counted or refused as the model says, in ${runs} × ${FLUSHES + 1} bodies`,
  async () => {
    const seen = { accepted: 0, refused: 0, catalogs: 0 }
    const flushes = fc.array(fuzzedFlush, { minLength: FLUSHES, maxLength: FLUSHES })
    const property = fc.asyncProperty(fuzzedCatalog, flushes, async (catalog, flushes) => {
      if (await putCatalog(catalog)) seen.catalogs++
      const accepted = await Promise.all(flushes.map(postFlush))
      for (const each of accepted) seen[each ? 'accepted' : 'refused']++
      const summary = await service.read('/admin/apikey-stats/summary')
      expect(summary).toBeTruthy()
      await compareSummary()
    })
    // What was posted stays: a smaller history could not be tried.
    await fc.assert(property, { ...parametersOf(runs), endOnFailure: true })
    await compareTotals()
    // All halves were tried, or this says little.
    expect(Math.min(seen.accepted, seen.refused) / FLUSHES).toBeGreaterThan(runs / 10)
    expect(seen.catalogs).toBeGreaterThan(runs / 3)
  },
  timeoutOf(runs),
)

test(
  `no path, query or method gets a 5xx or an error that is no problem, in ${runs} × ${REQUESTS} requests`,
  async () => {
    const requests = fc.array(fuzzedRequest, { minLength: 1, maxLength: REQUESTS })
    const property = fc.asyncProperty(requests, async (requests) => {
      for (const request of requests) await request_(request)
    })
    await fc.assert(property, parametersOf(runs))
    await compareTotals()
  },
  timeoutOf(runs),
)
