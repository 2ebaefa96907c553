import { afterAll, beforeAll, expect, test } from 'bun:test'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { lockShards, positionOf, untilWaiting } from '../support/events.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Several admins at once, on two instances, with retries and lost answers: a flush is reversed
// once, a balance opened once, and every adjustment counts once.

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
  await one.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: Array.from({ length: 40 }, (_, i) => ({ id: i + 1, group_id: 1 })),
  })
})

afterAll(async () => {
  await lossy.stop()
  await one.stop()
  await proxy.close()
  await database.drop()
})

const post = (service: TestService, path: string, body: object, key: string | null = null) =>
  service.fetch('admin', path, {
    method: 'POST',
    headers: key === null ? {} : { 'idempotency-key': key },
    body: JSON.stringify(body),
  })
const reverse = (service: TestService, position: string, key: string | null = null) =>
  post(service, '/admin/corrections', { reverse: position, reason: 'twice' }, key)
const open = (service: TestService, id: number, key: string) =>
  post(
    service,
    '/admin/balances',
    {
      ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
      api_keys: [{ id, total_requests: 100, success_requests: 90 }],
    },
    key,
  )
const flush = async (id: number, requests: number) =>
  positionOf(
    await one.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: id, requests }] }),
  )
const totalOf = async (id: number) =>
  (await one.read<{ total_requests: number }>(`/admin/api-keys/${id}`)).total_requests

/** Returns the instances in turn. */
const inTurn = (i: number) => (i % 2 === 0 ? one : lossy)
const statusesOf = (answers: Response[]) => answers.map(({ status }) => status).sort()

test('of concurrent reversals of a flush, one is recorded and the others are told', async () => {
  const position = await flush(1, 10)
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => reverse(inTurn(i), position)),
  )
  expect(statusesOf(answers)).toEqual([201, ...Array(7).fill(409)])
  expect(await totalOf(1)).toBe(0)
})

test('concurrent attempts with one key record one reversal and all get its position', async () => {
  const position = await flush(2, 10)
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => reverse(inTurn(i), position, 'one-key')),
  )
  expect(new Set(statusesOf(answers))).toEqual(new Set([201]))
  expect(new Set(answers.map(positionOf)).size).toBe(1)
  expect(answers.filter(({ headers }) => !headers.has('idempotency-replayed'))).toHaveLength(1)
  expect(await totalOf(2)).toBe(0)
})

test('attempts with one key that follow each other at any pace all get its position', async () => {
  const positions = await Promise.all(Array.from({ length: 24 }, (_, i) => flush(40, 1 + i)))
  await Promise.all(
    positions.map(async (position, n) => {
      const answers = await Promise.all(
        [0, 7, 19, 33].map(async (ms, i) => {
          await Bun.sleep(ms + n)
          return reverse(inTurn(i), position, `paced-${n}`)
        }),
      )
      expect(statusesOf(answers)).toEqual([201, 201, 201, 201])
      expect(new Set(answers.map(positionOf)).size).toBe(1)
    }),
  )
  expect(await totalOf(40)).toBe(0)
})

test('of concurrent openings of a row with different keys, one is recorded', async () => {
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, i) => open(inTurn(i), 3, `opening-${i}`)),
  )
  expect(statusesOf(answers)).toEqual([201, 409, 409, 409, 409, 409])
  expect(await totalOf(3)).toBe(100)
})

test('adjustments and reversals while flushes arrive leave the exact totals', async () => {
  const ids = [11, 12, 13, 14]
  const positions = await Promise.all(ids.map((id) => flush(id, 100)))
  const posts = Array.from({ length: 40 }, (_, i) => flush(ids[i % 4]!, 3))
  const acts = ids.flatMap((id, i) => [
    reverse(inTurn(i), positions[i]!),
    post(inTurn(i + 1), '/admin/corrections', {
      reason: 'by hand',
      adjust: { api_keys: [{ id, total_requests: 7, success_requests: 0 }] },
    }),
  ])
  const answers = await Promise.all(acts)
  await Promise.all(posts)
  expect(new Set(statusesOf(answers))).toEqual(new Set([201]))
  for (const id of ids) expect(await totalOf(id)).toBe(37)
})

test('two adjustments that are only possible one at a time are not both recorded', async () => {
  await flush(21, 10)
  const adjust = { api_keys: [{ id: 21, total_requests: -6, success_requests: 0 }] }
  // Both are decided before either is appended.
  const lock = await lockShards(database, [0])
  const answers = [one, lossy].map((service) =>
    post(service, '/admin/corrections', { adjust, reason: 'by hand' }),
  )
  await untilWaiting(database.owner, 2)
  await lock.release()
  expect(statusesOf(await Promise.all(answers))).toEqual([201, 409])
  expect(await totalOf(21)).toBe(4)
})

for (const where of ['before', 'after commit'] as const) {
  for (const attempt of ['reversal', 'opening'] as const) {
    test(`a ${attempt} cut ${where} it is stored: a retry with its key records it once`, async () => {
      const id = 30 + (where === 'before' ? 0 : 2) + (attempt === 'opening' ? 1 : 0)
      const key = `${attempt}-${where.replace(' ', '-')}`
      const position = attempt === 'reversal' ? await flush(id, 5) : ''
      const send = () =>
        attempt === 'reversal' ? reverse(lossy, position, key) : open(lossy, id, key)
      const cut = proxy.cut(where, 'append_act')
      const lost = await send()
      await cut
      expect(lost.status).toBe(503)
      let retry = await send()
      for (let tries = 0; retry.status === 503 && tries < 10; tries++) retry = await send()
      expect(retry.status).toBe(201)
      expect(retry.headers.get('idempotency-replayed')).toBe(
        where === 'after commit' ? 'true' : null,
      )
      expect(positionOf(await send())).toBe(positionOf(retry))
      expect(await totalOf(id)).toBe(attempt === 'reversal' ? 0 : 100)
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
