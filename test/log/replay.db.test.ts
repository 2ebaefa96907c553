import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { refreshCatalog } from '../../src/log/catalog/refresh.ts'
import { Log } from '../../src/log/log.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
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
    api_keys: [{ id: 1, group_id: 1 }, { id: 2 }, { id: 4, group_id: 1 }],
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

const totalOf = async (id: number, from = service) =>
  (await from.read<{ total_requests: number }>(`/admin/api-keys/${id}`)).total_requests

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

test('a key belongs to a token name, and is free under another name', async () => {
  const pools = openPools(service.database.address, service.shards)
  const catalog = new Catalog()
  const refresh = () => refreshCatalog(pools.read, catalog)
  const log = new Log({
    sql: pools.append,
    shards: service.shards,
    catalog,
    refreshCatalog: refresh,
    onAppended: () => {},
  })
  try {
    const entries = { ids: [1], requests: [1], successes: [1] }
    const posted = { type: 'ApiKeyStatsFlushed', entries } as const
    const a = await log.append(posted, 'east', 'scoped')
    const b = await log.append(posted, 'west', 'scoped')
    const again = await log.append(posted, 'east', 'scoped')
    expect(a).toMatchObject({ kind: 'appended', replayed: false })
    expect(b).toMatchObject({ kind: 'appended', replayed: false })
    expect(again).toEqual({ ...a, replayed: true } as typeof a)
  } finally {
    await log.stop()
    await pools.close()
  }
})

test('every POST without a key counts', async () => {
  const before = await totalOf(2)
  const body = { keys: [entry(2, 1)] }
  const answers = await Promise.all([1, 2, 3].map(() => service.post(FLUSH, body)))
  expect(new Set(answers.map(positionOf)).size).toBe(3)
  expect(await totalOf(2)).toBe(before + 3)
})

test('concurrent attempts count once, through one instance and through two', async () => {
  const other = await startTestService({ database: service.database })
  try {
    for (const instances of [
      [service, service],
      [service, other],
    ]) {
      const before = await totalOf(1)
      const keys = Array.from({ length: 15 }, () => keyed(crypto.randomUUID()))
      const tries = keys.map(async (key) => {
        const body = { keys: [entry(1, 1)] }
        const answers = await Promise.all(
          [...instances, ...instances].map(async (instance) =>
            read(await instance.post(FLUSH, body, key)),
          ),
        )
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
        expect(answers.filter(({ replayed }) => replayed === null)).toHaveLength(1)
        expect(new Set(answers.map(({ position }) => position)).size).toBe(1)
        expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
      })
      await Promise.all(tries)
      expect(await totalOf(1)).toBe(before + keys.length)
    }
  } finally {
    await other.stop()
  }
})

test('two concurrent attempts with different entries: one counts, one is refused', async () => {
  const before = await countFlushes(service.database.owner)
  const answers = await Promise.all(
    [1, 2].map((requests) => service.post(FLUSH, { keys: [entry(1, requests)] }, keyed('at-once'))),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 422])
  expect(await countFlushes(service.database.owner)).toBe(before + 1)
})

test('concurrent retries get the first answer, whatever the catalog contains now', async () => {
  const body = { keys: [{ api_key_id: 4, requests: 3, success_requests: 0 }] }
  const first = await service.post(FLUSH, body, keyed('ended'))
  const answer = await first.json()
  expect(answer).toEqual({ updated: 1, groups_updated: 1 })
  await service.fetch('admin', '/admin/api-keys/4', { method: 'DELETE' })
  const retries = await Promise.all(
    Array.from({ length: 8 }, () => service.post(FLUSH, body, keyed('ended'))),
  )
  for (const retry of retries) {
    expect(retry.headers.get('idempotency-replayed')).toBe('true')
    expect(await retry.json()).toEqual(answer)
  }
})

test('a retry concurrent with attempts with different entries is still replayed', async () => {
  const post = (requests: number) =>
    service.post(FLUSH, { keys: [entry(1, requests)] }, keyed('mixed'))
  await post(3)
  const answers = await Promise.all([4, 3, 4, 3, 3].map(post))
  expect(answers.map(({ status }) => status)).toEqual([422, 200, 422, 200, 200])
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
