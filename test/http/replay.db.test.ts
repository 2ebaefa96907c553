import { afterAll, beforeAll, expect, test } from 'bun:test'
import { countFlushes, positionOf } from '../support/events.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Invariant 1: a retry with its idempotency key gets the first attempt's answer, and counts once.

const FLUSH = '/internal/apikey-stats/flush'
const KEY_FLUSH = '/internal/stats/flush'

let service: TestService

beforeAll(async () => {
  service = await startTestService()
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }, { id: 2 }],
    keys: [{ token_hash: 'a' }, { token_hash: 'b' }],
  })
})

afterAll(() => service.end())

const keyed = (key: string) => ({ 'idempotency-key': key })
const entry = (id: number, requests: number) => ({
  api_key_id: id,
  requests,
  success_requests: requests,
})

/** Returns everything in which a client could see two answers differ. */
async function read(response: Response) {
  return {
    status: response.status,
    position: positionOf(response),
    replayed: response.headers.get('idempotency-replayed'),
    body: await response.text(),
  }
}

const totalOf = async (id: number) =>
  (await service.read<{ total_requests: number }>(`/admin/api-keys/${id}`)).total_requests

test('a replay has the answer and position of the first attempt, and counts nothing', async () => {
  const body = { keys: [entry(1, 3), entry(2, 5), entry(99, 1)] }
  const first = await read(await service.post(FLUSH, body, keyed('same')))
  expect(first).toMatchObject({ status: 200, replayed: null })
  expect(JSON.parse(first.body)).toEqual({ updated: 2, groups_updated: 1 })
  const flushes = await countFlushes(service.database.owner)
  for (let i = 0; i < 3; i++) {
    const replay = await read(await service.post(FLUSH, body, keyed('same')))
    expect(replay).toEqual({ ...first, replayed: 'true' })
  }
  expect(await countFlushes(service.database.owner)).toBe(flushes)
  expect(await totalOf(1)).toBe(3)
})

test('the same entries in another order and spelling are the same flush', async () => {
  const first = { keys: [entry(1, 1), entry(1, 2), entry(77, 4)] }
  const second = `{"later":1, "keys":[{"api_key_id":77,"requests":4,"success_requests":4},
    {"api_key_id":0,"requests":-9}, null,
    {"success_requests":2,"requests":2,"api_key_id":1},
    {"api_key_id":1,"requests":1,"success_requests":1,"more":true}]}`
  const a = await read(await service.post(FLUSH, first, keyed('order')))
  const b = await read(await service.post(FLUSH, second, keyed('order')))
  expect(b).toEqual({ ...a, replayed: 'true' })
  const tokens = [
    { token_hash: 'a', requests: 1, tokens: 2, last_accessed_at: 3 },
    { token_hash: 'b', requests: 4 },
  ]
  const c = await read(await service.post(KEY_FLUSH, { keys: tokens }, keyed('order-k')))
  const d = await read(
    await service.post(KEY_FLUSH, { keys: tokens.toReversed() }, keyed('order-k')),
  )
  expect(d).toEqual({ ...c, replayed: 'true' })
})

test('different entries under the same key are refused with 422 and count nothing', async () => {
  const first = await service.post(FLUSH, { keys: [entry(2, 1)] }, keyed('other'))
  expect(first.status).toBe(200)
  const flushes = await countFlushes(service.database.owner)
  const others = [[entry(2, 2)], [entry(1, 1)], [entry(2, 1), entry(2, 1)], []]
  for (const keys of others) {
    const response = await service.post(FLUSH, { keys }, keyed('other'))
    expect(response.status).toBe(422)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('tallybook-position')).toBeNull()
    expect(await response.json()).toMatchObject({ error: 'idempotency key reused' })
  }
  expect(await countFlushes(service.database.owner)).toBe(flushes)
})

test('the same key on the other endpoint is refused with 422, even for empty flushes', async () => {
  expect((await service.post(FLUSH, { keys: [] }, keyed('end'))).status).toBe(200)
  expect((await service.post(KEY_FLUSH, { keys: [] }, keyed('end'))).status).toBe(422)
  expect((await service.post(FLUSH, { keys: [] }, keyed('end'))).status).toBe(200)
})

test('a refused flush leaves its key free', async () => {
  const key = keyed('refused')
  expect((await service.post(FLUSH, 'no JSON', key)).status).toBe(400)
  expect((await service.post(FLUSH, { keys: [entry(1, -1)] }, key)).status).toBe(400)
  const first = await read(await service.post(FLUSH, { keys: [entry(1, 1)] }, key))
  expect(first).toMatchObject({ status: 200, replayed: null })
})

test('a replay has the first answer after a restart and after a catalog change', async () => {
  const body = { keys: [entry(1, 2), entry(3, 2)] }
  const first = await read(await service.post(FLUSH, body, keyed('restart')))
  expect(JSON.parse(first.body)).toEqual({ updated: 1, groups_updated: 1 })
  const before = await totalOf(1)
  await service.stop()
  service = await startTestService({ database: service.database })
  expect(await read(await service.post(FLUSH, body, keyed('restart')))).toEqual({
    ...first,
    replayed: 'true',
  })
  await service.putCatalog({
    api_keys: [
      { id: 1, group_id: 0 },
      { id: 3, group_id: 1 },
    ],
  })
  await service.fetch('admin', '/admin/provider-groups/1', { method: 'DELETE' })
  expect(await read(await service.post(FLUSH, body, keyed('restart')))).toEqual({
    ...first,
    replayed: 'true',
  })
  expect(await totalOf(1)).toBe(before)
  expect(await totalOf(3)).toBe(0)
})
