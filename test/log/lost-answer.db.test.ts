import { afterAll, beforeAll, expect, test } from 'bun:test'
import { countFlushes, lockShards, positionOf, untilWaiting } from '../support/events.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Invariant 1, both halves of a failed write: failed and not stored; failed but stored. A flush
// that was not acknowledged is in the log at most once; a retry with its key makes it exactly once.

const FLUSH = '/internal/apikey-stats/flush'
const BODY = { keys: [{ api_key_id: 1, requests: 1 }] }

let database: TestDatabase
let proxy: LossyProxy
let service: TestService

beforeAll(async () => {
  database = await createDatabase()
  proxy = await startProxy(database.address)
  service = await startTestService({ database, address: proxy.address })
  await service.putCatalog({ api_keys: [{ id: 1 }] })
})

afterAll(async () => {
  await service.stop()
  await proxy.close()
  await database.drop()
})

const keyed = (key: string) => ({ 'idempotency-key': key })

async function expectUnavailable(response: Response): Promise<void> {
  expect(response.status).toBe(503)
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(response.headers.get('tallybook-position')).toBeNull()
  expect(await response.json()).toEqual({
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    error: 'log unavailable',
  })
}

/** Retries while the answer is 503, as a client does. */
async function retryWhileUnavailable(send: () => Promise<Response>): Promise<Response> {
  let response = await send()
  for (let tries = 1; response.status === 503 && tries < 10; tries++) response = await send()
  return response
}

/** Expects the retry to count once in total; returns its Idempotency-Replayed. */
async function expectRetryCountsOnce(key: string, flushes: number): Promise<string | null> {
  const retry = await retryWhileUnavailable(() => service.post(FLUSH, BODY, keyed(key)))
  expect(retry.status).toBe(200)
  expect(await retry.json()).toEqual({ updated: 1, groups_updated: 0 })
  expect(await countFlushes(database.owner)).toBe(flushes + 1)
  const again = await service.post(FLUSH, BODY, keyed(key))
  expect(positionOf(again)).toBe(positionOf(retry))
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  expect(total_requests).toBe(flushes + 1)
  return retry.headers.get('idempotency-replayed')
}

for (const round of [1, 2, 3]) {
  test(`stored, but the answer is lost: 503, and the retry is a replay (${round})`, async () => {
    const flushes = await countFlushes(database.owner)
    const cut = proxy.cut('after commit', 'append_batch')
    await expectUnavailable(await service.post(FLUSH, BODY, keyed(`after-${round}`)))
    await cut
    expect(await countFlushes(database.owner)).toBe(flushes + 1)
    expect(await expectRetryCountsOnce(`after-${round}`, flushes)).toBe('true')
  })

  test(`cut before it is stored: 503, nothing is stored, the retry counts (${round})`, async () => {
    const flushes = await countFlushes(database.owner)
    const cut = proxy.cut('before', 'append_batch')
    await expectUnavailable(await service.post(FLUSH, BODY, keyed(`before-${round}`)))
    await cut
    expect(await countFlushes(database.owner)).toBe(flushes)
    expect(await expectRetryCountsOnce(`before-${round}`, flushes)).toBeNull()
  })
}

test('a whole batch whose answer is lost is stored once after its retries', async () => {
  const flushes = await countFlushes(database.owner)
  const keys = Array.from({ length: 30 }, (_, i) => keyed(`batch-${i}`))
  const cut = proxy.cut('after commit', 'append_batch')
  const tries = await Promise.all(keys.map((key) => service.post(FLUSH, BODY, key)))
  await cut
  expect(new Set(tries.map(({ status }) => status))).toContain(503)
  const retries = await Promise.all(
    keys.map((key) => retryWhileUnavailable(() => service.post(FLUSH, BODY, key))),
  )
  expect(retries.map(({ status }) => status)).toEqual(keys.map(() => 200))
  expect(await countFlushes(database.owner)).toBe(flushes + keys.length)
  expect(new Set(retries.map(positionOf)).size).toBe(keys.length)
})

test('a connection terminated while the append waits: 503, and nothing is stored', async () => {
  const flushes = await countFlushes(database.owner)
  const lock = await lockShards(database)
  try {
    const answer = service.post(FLUSH, BODY, keyed('ended'))
    const [pid] = await untilWaiting(database.owner, 1)
    await database.owner`select pg_terminate_backend(${pid!}::integer)`
    await expectUnavailable(await answer)
  } finally {
    await lock.release()
  }
  expect(await countFlushes(database.owner)).toBe(flushes)
  expect(await expectRetryCountsOnce('ended', flushes)).toBeNull()
})

test('a catalog change whose answer is lost is answered 503, and its retry succeeds', async () => {
  const cut = proxy.cut('after commit', 'append_catalog_change')
  const lost = await service.putCatalog({ api_keys: [{ id: 2, name: 'two' }] })
  await cut
  expect(lost.status).toBe(503)
  const retry = await retryWhileUnavailable(() =>
    service.putCatalog({ api_keys: [{ id: 2, name: 'two' }] }),
  )
  expect(retry.status).toBe(200)
  const counted = await service.post(FLUSH, { keys: [{ api_key_id: 2, requests: 1 }] })
  expect(await counted.json()).toEqual({ updated: 1, groups_updated: 0 })
  expect(await service.read('/admin/api-keys/2')).toMatchObject({ id: 2, name: 'two' })
})
