import { beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { useService } from '../support/service.ts'
import { fuzzedCatalog, fuzzedFlush } from './fuzz-bodies.ts'
import { fuzzedRequest } from './fuzz-requests.ts'
import { FuzzSession } from './fuzz-session.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

const runs = runsOf(50)
/** Flushes sent concurrently in each run. */
const FLUSHES = 12

const ROWS = JSON.stringify({
  provider_groups: [{ id: 1 }, { id: 2 }, { id: 3 }],
  api_keys: [{ id: 1 }, { id: 2 }, { id: 3 }],
  keys: [{ token_hash: 'k1' }, { token_hash: 'k2' }, { token_hash: 'k3' }],
})

const service = useService()
let session: FuzzSession

beforeAll(async () => {
  session = new FuzzSession(service)
})

test(
  `any body is counted or refused as in the model, in ${runs} × ${FLUSHES + 1} bodies`,
  async () => {
    const seen = { accepted: 0, refused: 0, catalogs: 0 }
    const flushes = fc.array(fuzzedFlush, { minLength: FLUSHES, maxLength: FLUSHES })
    const property = fc.asyncProperty(fuzzedCatalog, flushes, async (catalog, flushes) => {
      if (await session.putCatalog(catalog)) seen.catalogs++
      const accepted = await session.postFlushes(flushes)
      seen.accepted += accepted
      seen.refused += FLUSHES - accepted
      await session.compareSummary()
    })
    // No shrinking: the flushes stay in the log, and the next attempt would find them.
    await fc.assert(property, { ...parametersOf(runs), endOnFailure: true })
    await session.compareTotals()
    // The test proves little unless both halves were tried.
    const leastOfFlushes = Math.min(seen.accepted, seen.refused)
    expect(leastOfFlushes).toBeGreaterThanOrEqual(Math.floor(runs / 10) * FLUSHES)
    expect(seen.catalogs).toBeGreaterThanOrEqual(Math.floor(runs / 3))
  },
  timeoutOf(runs),
)

test(
  `no method, path or query gets 5xx or an error that is no problem, in ${runs * 10} requests`,
  async () => {
    const statuses = new Map<number, number>()
    let sent = 0
    const property = fc.asyncProperty(fuzzedRequest, async (request) => {
      // Occasionally restores rows for the next DELETEs.
      if (sent++ % 100 === 0) await session.putCatalog(ROWS)
      const status = await session.request(request)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    })
    await fc.assert(property, parametersOf(runs * 10))
    await session.compareTotals()
    for (const status of [200, 204, 400, 404]) {
      expect(statuses.get(status) ?? 0).toBeGreaterThanOrEqual(Math.floor(runs / 50))
    }
  },
  timeoutOf(runs),
)
