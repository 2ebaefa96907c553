import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type MeteredProxy, startMeter } from '../../support/meter.ts'
import { createDatabase } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { until } from '../../support/until.ts'

// A network that drops everything sent over open connections, and serves new ones, like a proxy or
// a firewall that has forgotten the connections.

const FLUSH = '/internal/apikey-stats/flush'
const KEYS = { keys: [{ api_key_id: 1, requests: 1 }] }

let proxy: MeteredProxy
let service: TestService
let posted = 0

beforeAll(async () => {
  const database = await createDatabase()
  proxy = await startMeter(database.address)
  service = await startTestService({
    database,
    address: proxy.address,
    intervals: { database: { lockTimeoutMs: 5_000, silentAfterMs: 200 } },
  })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})
afterAll(async () => {
  await service.end()
  await proxy.close()
})

/** Posts with an idempotency key until it is acknowledged. */
async function post(): Promise<void> {
  const headers = { 'idempotency-key': `flush-${posted++}` }
  await until(async () => (await service.post(FLUSH, KEYS, headers)).status === 200)
}

const readTotal = async () => {
  const response = await service.fetch('admin', '/admin/api-keys/1')
  if (response.status !== 200) return null
  return ((await response.json()) as { total_requests: number }).total_requests
}

/** Makes every pool use several of its connections at once. */
async function warmUp(): Promise<void> {
  await Promise.all(Array.from({ length: 8 }, post))
  await Promise.all(Array.from({ length: 16 }, readTotal))
}

test('every request is answered, and the service continues over new connections', async () => {
  for (let round = 0; round < 3; round++) {
    await warmUp()
    proxy.swallow()
    await Promise.all([
      post(),
      until(readTotal),
      until(async () => (await service.fetch(null, '/health/ready')).status === 200),
      until(async () => (await service.fetch('auditor', '/admin/usage')).status === 200),
      until(async () => (await service.putCatalog({ api_keys: [{ id: 2 }] })).status === 200),
    ])
    expect(await until(readTotal)).toBe(posted)
  }
})

test('a statement that the server works on is waited for', async () => {
  const lock = await service.database.owner.reserve()
  await lock`begin`
  await lock`lock table checkpoints in access exclusive mode`
  await post()
  const reading = service.fetch('admin', '/admin/api-keys/1')
  // Several times `silentAfterMs`.
  await Bun.sleep(1_000)
  await lock`rollback`
  lock.release()
  expect((await reading).status).toBe(200)
  expect(await readTotal()).toBe(posted)
})
