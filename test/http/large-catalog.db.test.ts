import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { CatalogChange } from '../../src/events/catalog-change.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { refreshCatalog } from '../../src/log/catalog/refresh.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { expectProblem } from '../support/problem.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { watchWorkers } from '../support/workers.ts'

// Catalog changes so large that the worker parses, appends and reads them.

/** More bytes than a body that the main thread parses. */
const LARGE = 300 * 1024
const ROWS = 12_000

const workers = watchWorkers()
const service = useService({ shards: 1 })
let other: TestService
let pools: Pools

beforeAll(async () => {
  other = await startTestService({ database: service.database, shards: 1 })
  pools = openPools(service.database.address, 1)
})
afterAll(async () => {
  await other.stop()
  await pools.close()
  workers.restore()
})

const groups = [{ id: 1, name: 'one' }, { id: 2 }]
const apiKeys = (groupId: number) =>
  Array.from({ length: ROWS }, (_, i) => ({ id: i + 1, group_id: groupId, name: `key ${i}` }))

const put = async (body: string) => {
  const response = await service.fetch('admin', '/admin/catalog', { method: 'PUT', body })
  const position = response.headers.get('tallybook-position')
  return { status: response.status, body: await response.json(), isAppended: position !== null }
}

const readGroup = async (id: number) =>
  (await service.read<{ total_requests: number }>(`/admin/provider-groups/${id}`)).total_requests

test('a large change applies to the next flush of every instance, whichever key it names', async () => {
  for (const [groupId, total] of [
    [1, 6],
    [2, 6],
  ] as const) {
    const change = JSON.stringify({ provider_groups: groups, api_keys: apiKeys(groupId) })
    expect(change.length).toBeGreaterThan(LARGE)
    expect(await put(change)).toEqual({
      status: 200,
      body: { provider_groups: 2, api_keys: ROWS, keys: 0 },
      isAppended: true,
    })
    for (const [i, one] of [service, other, other, service].entries()) {
      const entries = [1, ROWS / 2, ROWS].map((id) => ({ api_key_id: id, requests: 1 }))
      const flush = { keys: i % 2 === 0 ? entries.slice(0, 1) : entries.slice(1) }
      expect((await one.post('/internal/apikey-stats/flush', flush)).status).toBe(200)
    }
    expect([groupId, await readGroup(groupId)]).toEqual([groupId, total])
  }
  const last = await service.read<{ name: string }>(`/admin/api-keys/${ROWS}`)
  expect(last.name).toBe(`key ${ROWS - 1}`)
})

/** As many as there can be: with another, too many. */
const MEASURES = Array.from({ length: 32 }, (_, i) => ({ name: `m${i}` }))

test.each([
  ['valid', '{"api_keys":[{"id":5,"name":""}],"keys":[{"token_hash":"a","quota_limit":3}]}'],
  ['dimensions', '{"dimensions":[{"name":"model"}],"measures":[{"name":"cost","unit":"USD"}]}'],
  ['too many measures', JSON.stringify({ measures: MEASURES })],
  ['not JSON', '{"api_keys":[{"id":5}'],
  ['an unknown field', '{"api_keys":[{"id":5,"owner":1}]}'],
  ['a wrong type', '{"keys":[{"token_hash":"a"},{"token_hash":"b","quota_limit":"3"}]}'],
  ['a row twice', '{"api_keys":[{"id":5},{"id":6},{"id":5}]}'],
  ['a text that can not be stored', '{"keys":[{"token_hash":"a\\u0000"}]}'],
])('a large body is treated like an equivalent small one: %s', async (_, body) => {
  expect(await put(body.padEnd(LARGE))).toEqual(await put(body))
})

test('the change of a worker that dies gets 503, and a new worker takes the next one', async () => {
  const change = { api_keys: apiKeys(1) }
  workers.hold()
  const lost = service.putCatalog(change)
  await until(() => workers.held === 1)
  workers.kill()
  await expectProblem(await lost, 503, 'worker ended')
  expect((await service.putCatalog(change)).status).toBe(200)
})

test('a stop waits for the large change that the worker is processing', async () => {
  const stopping = await startTestService({ database: service.database, shards: 1 })
  workers.hold()
  const put = stopping.putCatalog({ api_keys: apiKeys(2) })
  await until(() => workers.held === 1)
  const stopped = stopping.stop()
  workers.release()
  const { status, headers } = await put
  expect(status).toBe(200)
  await stopped
  const [shard, position] = headers.get('tallybook-position')!.split('/')
  const found = await service.database.owner`
    select from events where shard = ${shard!} and position = ${position!}`
  expect(found).toHaveLength(1)
})

test('a body of many tiny values is refused before it is parsed', async () => {
  const refused = await put(`{"keys":[${'[],'.repeat(LARGE / 3)}[]]}`)
  expect(refused).toMatchObject({ status: 400, body: { error: 'invalid request body' } })
})

test('a large change of which only a part could be read is read again from scratch', async () => {
  await put(JSON.stringify({ api_keys: apiKeys(1) }))
  const whole = new Catalog()
  await refreshCatalog(pools.append, whole)

  const catalog = new Catalog()
  const parts = async function* (): AsyncGenerator<CatalogChange> {
    yield { upserted: { api_keys: [{ id: ROWS + 1, group_id: 1, name: null }] }, ended: {} }
    throw new Error('the worker ended')
  }
  await expect(refreshCatalog(pools.append, catalog, parts)).rejects.toThrow('the worker ended')

  expect(catalog.isIncomplete).toBe(true)
  await refreshCatalog(pools.append, catalog)
  expect([catalog.position, catalog.sha256]).toEqual([whole.position, whole.sha256])
  expect(catalog.apiKeys).toEqual(whole.apiKeys)
})
