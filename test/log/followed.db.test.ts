import { afterAll, beforeAll, expect, test } from 'bun:test'
import { startTestService, type TestService } from '../support/service.ts'

// Invariant 1, for tries of one idempotency key that are on their way at the same time.

const FLUSH = '/internal/apikey-stats/flush'
const keyed = (key: string) => ({ 'idempotency-key': key })
const bodyOf = (requests: number) => ({
  keys: [{ api_key_id: 1, requests, success_requests: 0 }],
})

let service: TestService
beforeAll(async () => {
  service = await startTestService()
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})
afterAll(() => service.end())

test('retries at the same instant are answered as the first, whatever the catalog says now', async () => {
  const first = await service.post(FLUSH, bodyOf(3), keyed('ended'))
  const answer = await first.json()
  await service.fetch('admin', '/admin/api-keys/1', { method: 'DELETE' })
  const retries = await Promise.all(
    Array.from({ length: 8 }, () => service.post(FLUSH, bodyOf(3), keyed('ended'))),
  )
  for (const retry of retries) {
    expect(retry.headers.get('idempotency-replayed')).toBe('true')
    expect(await retry.json()).toEqual(answer)
  }
})

test('a retry beside a try with other entries is replayed all the same', async () => {
  await service.post(FLUSH, bodyOf(3), keyed('mixed'))
  const tries = [4, 3, 4, 3, 3].map((requests) =>
    service.post(FLUSH, bodyOf(requests), keyed('mixed')),
  )
  const statuses = (await Promise.all(tries)).map(({ status }) => status)
  expect(statuses).toEqual([422, 200, 422, 200, 200])
})
