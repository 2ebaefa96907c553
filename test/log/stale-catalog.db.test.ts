import { expect, test } from 'bun:test'
import { type TestService, useInstances } from '../support/service.ts'

// Invariant 4: an event records how it was attributed when it was appended. An acknowledged catalog
// change applies to every later flush, on every instance.

const FLUSH = '/internal/apikey-stats/flush'

const [one, other] = useInstances()

const flush = async (service: TestService, id: number) =>
  (await service.post(FLUSH, { keys: [{ api_key_id: id, requests: 1 }] })).json()

const groupTotal = async (id: number) =>
  (await one.read<{ total_requests: number }>(`/admin/provider-groups/${id}`)).total_requests

test('a key created through one instance counts in the next flush through the other', async () => {
  expect(await flush(one, 1)).toEqual({ updated: 0, groups_updated: 0 })
  await other.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  expect(await flush(one, 1)).toEqual({ updated: 1, groups_updated: 1 })
})

test('a key moved to another group through one instance changes no past counts', async () => {
  const before = await groupTotal(1)
  await other.putCatalog({ provider_groups: [{ id: 2 }], api_keys: [{ id: 1, group_id: 2 }] })
  expect(await flush(one, 1)).toEqual({ updated: 1, groups_updated: 1 })
  expect(await groupTotal(1)).toBe(before)
  expect(await groupTotal(2)).toBe(1)
})

test('a quota lifted through one instance is not used through the other', async () => {
  const use = () => one.post('/internal/stats/flush', { keys: [{ token_hash: 'q', tokens: 10 }] })
  await other.putCatalog({ keys: [{ token_hash: 'q', quota_limit: 100 }] })
  await use()
  await other.putCatalog({ keys: [{ token_hash: 'q', quota_limit: -1 }] })
  await use()
  expect(await one.read('/admin/keys/q')).toMatchObject({ used_tokens: 20, quota_used: 10 })
})

test('a key retired through one instance no longer counts through the other', async () => {
  await other.fetch('admin', '/admin/api-keys/1', { method: 'DELETE' })
  expect(await flush(one, 1)).toEqual({ updated: 0, groups_updated: 0 })
})

test('no flush uses an old catalog while both instances change it', async () => {
  const ids = Array.from({ length: 20 }, (_, i) => 1_000 + i)
  await Promise.all(
    ids.map(async (id) => {
      const [here, there] = id % 2 === 0 ? [one, other] : [other, one]
      await here.putCatalog({ api_keys: [{ id, group_id: 2 }] })
      expect(await flush(there, id)).toEqual({ updated: 1, groups_updated: 1 })
    }),
  )
})

test('concurrent changes through both instances are all applied', async () => {
  const ids = Array.from({ length: 20 }, (_, i) => 2_000 + i)
  await Promise.all(
    ids.map((id) => (id % 2 === 0 ? one : other).putCatalog({ api_keys: [{ id, group_id: 1 }] })),
  )
  for (const service of [one, other]) {
    const keys = ids.map((api_key_id) => ({ api_key_id, requests: 1 }))
    const response = await service.post(FLUSH, { keys })
    expect(await response.json()).toEqual({ updated: ids.length, groups_updated: 1 })
  }
})
