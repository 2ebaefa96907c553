import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type LossyProxy, startProxy } from '../../support/proxy.ts'
import { createDatabase, type TestDatabase } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Invariant 5 when a connection is cut between any two messages of a batch: counters and checkpoint
// move together or not at all, and the next batch recovers.

let database: TestDatabase
let proxy: LossyProxy
let service: TestService
let posted = 0

beforeAll(async () => {
  database = await createDatabase()
  proxy = await startProxy(database.address)
  service = await startTestService({ database, address: proxy.address })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  // From here on, the connections of batches are distinguishable from others.
  await flushAndRead()
})

afterAll(async () => {
  await service.stop()
  await proxy.close()
  await database.drop()
})

async function flushAndRead(): Promise<number> {
  const keys = [{ api_key_id: 1, requests: 1, success_requests: 1 }]
  expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  posted++
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  return total_requests
}

for (const where of ['before', 'after commit'] as const) {
  for (let skip = 0; skip < 12; skip++) {
    test(`a batch cut off ${where} message ${skip} counts every flush once`, async () => {
      const cut = proxy.cut(where, 'move_checkpoint', skip)
      // Batches run once a second anyway, so the cut happens even if this read finishes before it.
      expect(await flushAndRead()).toBe(posted)
      while ((await Promise.race([cut.then(() => true), Bun.sleep(200)])) !== true) {
        expect(await flushAndRead()).toBe(posted)
      }
      expect(await flushAndRead()).toBe(posted)
      const [sums] = await database.owner`
        select
          (select sum(requests)::integer from api_key_counters) as keys,
          (select sum(requests)::integer from provider_group_counters) as groups`
      expect(sums).toEqual({ keys: posted, groups: posted })
    })
  }
}
