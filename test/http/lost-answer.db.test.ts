import { afterAll, beforeAll, expect, test } from 'bun:test'
import { countFlushes, positionOf } from '../support/events.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// What a client sees if the answer to its write is lost on the way from the database.

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

test('a flush whose answer is lost is answered 503, and its retry is a replay', async () => {
  const cut = proxy.cut('after commit', 'append_batch')
  await expectUnavailable(await service.post(FLUSH, BODY, keyed('lost')))
  await cut
  const retry = await retryWhileUnavailable(() => service.post(FLUSH, BODY, keyed('lost')))
  expect(retry.status).toBe(200)
  expect(retry.headers.get('idempotency-replayed')).toBe('true')
  expect(await retry.json()).toEqual({ updated: 1, groups_updated: 0 })
  expect(await countFlushes(database.owner)).toBe(1)
  const again = await service.post(FLUSH, BODY, keyed('lost'))
  expect(positionOf(again)).toBe(positionOf(retry))
  expect(await service.read('/admin/api-keys/1')).toMatchObject({ total_requests: 1 })
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
