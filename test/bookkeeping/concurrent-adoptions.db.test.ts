import { afterAll, beforeAll, expect, test } from 'bun:test'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Several admins at once, on two instances, with retries and lost answers: what flushes posted for
// a key before the catalog had it counts once, even while more flushes for it arrive.

let database: TestDatabase
let proxy: LossyProxy
let one: TestService
/** Reaches the database through a proxy that cuts connections. */
let lossy: TestService

beforeAll(async () => {
  database = await createDatabase()
  proxy = await startProxy(database.address)
  one = await startTestService({ database })
  lossy = await startTestService({ database, address: proxy.address })
  await one.putCatalog({ provider_groups: [{ id: 1 }] })
})

afterAll(async () => {
  await lossy.stop()
  await one.stop()
  await proxy.close()
  await database.drop()
})

const inTurn = (i: number) => (i % 2 === 0 ? one : lossy)

const flush = async (service: TestService, key: number, requests: number) => {
  const keys = [{ api_key_id: key, requests }]
  return positionOf(await service.post('/internal/apikey-stats/flush', { keys }))
}
const post = (service: TestService, path: string, body: object) =>
  service.fetch('admin', path, { method: 'POST', body: JSON.stringify(body) })
const adopt = (service: TestService, id: number) =>
  post(service, '/admin/unknown-keys/adopt', { api_keys: [{ id, group_id: 1 }] })
const requestsOf = async (answer: Response) =>
  ((await answer.json()) as { requests: number }).requests
const totalOf = async (id: number) =>
  (await one.read<{ total_requests: number }>(`/admin/api-keys/${id}`)).total_requests

test('concurrent adoptions of a key count it once, while flushes for it arrive', async () => {
  for (let round = 0; round < 5; round++) {
    const id = 100 + round
    await Promise.all([1, 2, 3, 4].map((n) => flush(inTurn(n), id, 1)))
    const posts = Array.from({ length: 30 }, async (_, i) => {
      await Bun.sleep(i * 3)
      return flush(inTurn(i), id, 1)
    })
    const answers = await Promise.all([0, 1, 2, 3].map((i) => adopt(inTurn(i), id)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    await Promise.all(posts)
    const last = await adopt(one, id)
    expect(await requestsOf(last)).toBe(0)
    expect(await totalOf(id)).toBe(34)
  }
})

test('an adoption and a reversal of the same flush count it in no order twice', async () => {
  for (let round = 0; round < 5; round++) {
    const id = 200 + round
    await one.putCatalog({ api_keys: [{ id: 300 + round }] })
    const keys = [
      { api_key_id: id, requests: 5 },
      { api_key_id: 300 + round, requests: 1 },
    ]
    const twice = positionOf(await one.post('/internal/apikey-stats/flush', { keys }))
    await flush(one, id, 1)
    const [reversed, adopted] = await Promise.all([
      post(one, '/admin/corrections', { reverse: twice, reason: 'posted twice' }),
      adopt(lossy, id),
    ])
    expect([reversed.status, adopted.status]).toEqual([201, 200])
    expect(await totalOf(id)).toBe(1)
    expect(await totalOf(300 + round)).toBe(0)
  }
})

for (const call of ['append_catalog_change', 'append_act']) {
  for (const where of ['before', 'after commit'] as const) {
    test(`an adoption cut ${where} ${call} is stored is finished by a repeat, once`, async () => {
      const id = 400 + (call === 'append_act' ? 2 : 0) + (where === 'before' ? 1 : 0)
      await flush(one, id, 7)
      // On its connections the statement runs for the first time.
      const fresh = await startTestService({ database, address: proxy.address })
      const cut = proxy.cut(where, call)
      const lost = await adopt(fresh, id)
      await cut
      await fresh.stop()
      expect(lost.status).toBe(503)
      let retry = await adopt(lossy, id)
      for (let tries = 0; retry.status === 503 && tries < 10; tries++)
        retry = await adopt(lossy, id)
      expect(retry.status).toBe(200)
      const isStored = call === 'append_act' && where === 'after commit'
      expect(await requestsOf(retry)).toBe(isStored ? 0 : 7)
      expect(await totalOf(id)).toBe(7)
    })
  }
}

test('an audit compares every act with what it names, and finds nothing', async () => {
  await untilSigned(one)
  const { findings, report } = await auditService(one)
  expect(findings).toEqual([])
  expect(report.acts).toBeGreaterThan(0)
  expect(report.missedActs).toBe(0)
})
