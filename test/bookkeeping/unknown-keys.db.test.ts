import { describe, expect, test } from 'bun:test'
import { verify } from '../proofs/integrity/history.ts'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { rebuildByHttp } from '../support/rebuild.ts'
import { useService } from '../support/service.ts'

// Entries for keys that the catalog does not have count nothing until the keys are adopted.

const service = useService()

type Rated = { total_requests: number; success_requests: number }
type Unknown = {
  id?: number | null
  external_id?: string | null
  token_hash?: string
  requests: number
  flushes: number
  first_seen: string
  last_seen: string
}
type Page = {
  items: Unknown[]
  next_cursor: string | null
  other: { requests: number; flushes: number }
}
type Adopted = { position: string | null; api_keys: number; keys: number; requests: number }

const flush = async (...keys: object[]) =>
  positionOf(await service.post('/internal/apikey-stats/flush', { keys }))
const flushKeys = async (...keys: object[]) =>
  positionOf(await service.post('/internal/stats/flush', { keys }))
const entry = (key: number | string, requests: number, success_requests = requests) => ({
  ...(typeof key === 'number' ? { api_key_id: key } : { api_key: key }),
  ...{ requests, success_requests },
})

const list = (kind: 'api_key' | 'key', query = '') =>
  service.read<Page>(`/admin/unknown-keys?kind=${kind}${query}`)
/** Reads an unknown key; undefined if it is not listed. */
const unknown = async (key: number | string) =>
  (await list('api_key', '&limit=1000')).items.find(
    (item) => item.id === key || item.external_id === key,
  )
const unknownHash = async (hash: string) =>
  (await list('key', '&limit=1000')).items.find((item) => item.token_hash === hash)

const post = (body: unknown) =>
  service.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify(body),
  })
const adopt = async (body: object) => {
  const response = await post(body)
  const answer = (await response.json()) as Adopted
  expect({ status: response.status, ...answer }).toMatchObject({ status: 200 })
  return answer
}
const reverse = (position: string) =>
  service.fetch('admin', '/admin/corrections', {
    method: 'POST',
    body: JSON.stringify({ reverse: position, reason: 'posted twice' }),
  })

const total = async (id: number, query = '') => {
  const row = await service.read<Rated>(`/admin/api-keys/${id}${query}`)
  return [row.total_requests, row.success_requests]
}
const groupTotal = async (id: number) =>
  (await service.read<Rated>(`/admin/provider-groups/${id}`)).total_requests
const used = async (id: number) =>
  (await service.read<{ total: Rated; items: Rated[] }>(`/admin/usage?api_key_id=${id}`)).items
    .map(({ total_requests }) => total_requests)
    .filter((count) => count > 0)

describe('the list of unknown keys', () => {
  test('has what was named but not known, with counts of requests and flushes', async () => {
    await service.putCatalog({ api_keys: [{ id: 1 }], keys: [{ token_hash: 'known' }] })
    await flush(entry(100, 5, 4), entry(1, 1), entry('sk-100', 1), entry(100, 2))
    await flush(entry(100, 1))
    await flushKeys({ token_hash: 'h-100', requests: 1, tokens: 5 }, { token_hash: 'known' })
    expect(await unknown(100)).toMatchObject({ requests: 8, flushes: 2, external_id: null })
    expect(await unknown('sk-100')).toMatchObject({ requests: 1, flushes: 1, id: null })
    const { items } = await list('key')
    expect(items).toEqual([
      {
        ...{ token_hash: 'h-100', requests: 1, flushes: 1 },
        ...{ first_seen: items[0]!.first_seen, last_seen: items[0]!.first_seen },
      },
    ])
    expect((await list('key')).other).toEqual({ requests: 0, flushes: 0 })
  })

  test('is paged and sorted', async () => {
    await flush(...[1, 2, 3, 4, 5].map((i) => entry(`page-${i}`, i * 1_000)))
    const first = await list('api_key', '&sort=-requests&limit=2')
    expect(first.items.map((item) => item.external_id)).toEqual(['page-5', 'page-4'])
    const next = await list('api_key', `&sort=-requests&limit=2&cursor=${first.next_cursor}`)
    expect(next.items.map((item) => item.external_id)).toEqual(['page-3', 'page-2'])
    for (const sort of ['name', 'flushes', 'first_seen', '-last_seen']) {
      const { items } = await list('api_key', `&sort=${sort}&limit=1000`)
      expect(items.length).toBeGreaterThanOrEqual(7)
    }
  })

  test('is for admins and auditors', async () => {
    const path = '/admin/unknown-keys?kind=key'
    expect((await service.fetch('auditor', path)).status).toBe(200)
    await expectProblem(await service.fetch('dp', path), 403, 'forbidden')
    await expectProblem(await service.fetch('admin', '/admin/unknown-keys'), 400, 'invalid request')
  })
})

describe('adoption', () => {
  test('counts what the log holds, in totals, group and usage, and not twice', async () => {
    await service.putCatalog({ provider_groups: [{ id: 5 }] })
    await flush(entry(200, 5, 4))
    const before = await flush(entry(200, 2), entry('sk-200', 10, 9))
    const named = { api_keys: [{ id: 200, external_id: 'sk-200', group_id: 5 }] }
    const answer = await adopt(named)
    expect(answer).toEqual({
      position: expect.any(String) as never,
      ...{ api_keys: 1, keys: 0, requests: 17 },
    })
    expect(await total(200)).toEqual([17, 15])
    expect(await groupTotal(5)).toBe(17)
    expect((await used(200)).reduce((sum, count) => sum + count, 0)).toBe(17)
    expect(await unknown(200)).toBeUndefined()
    expect(await unknown('sk-200')).toBeUndefined()
    expect(await adopt(named)).toEqual({ position: null, api_keys: 0, keys: 0, requests: 0 })
    expect(await total(200)).toEqual([17, 15])
    await flush(entry('sk-200', 1))
    expect(await total(200)).toEqual([18, 16])
    // As of before, it counted nothing.
    const past = await service.fetch('admin', `/admin/api-keys/200?as_of_position=${before}`)
    expect([200, 404]).toContain(past.status)
  })

  test('of token keys counts tokens, quota and the last access', async () => {
    const at = 1_700_000_000
    await flushKeys({ token_hash: 'h-1', requests: 2, tokens: 30, last_accessed_at: at })
    await flushKeys({ token_hash: 'h-2', requests: 1, tokens: 7 })
    await adopt({ keys: [{ token_hash: 'h-1', quota_limit: 100 }, { token_hash: 'h-2' }] })
    expect(await service.read<object>('/admin/keys/h-1')).toMatchObject({
      ...{ request_count: 2, used_tokens: 30, quota_used: 30 },
      last_accessed_at: '2023-11-14T22:13:20+00:00',
    })
    expect(await service.read<object>('/admin/keys/h-2')).toMatchObject({
      ...{ request_count: 1, used_tokens: 7, quota_used: 0, last_accessed_at: null },
    })
    expect(await unknownHash('h-1')).toBeUndefined()
  })

  test('for a group that was retired counts nothing for the group', async () => {
    await service.putCatalog({ provider_groups: [{ id: 7 }] })
    await service.fetch('admin', '/admin/provider-groups/7', { method: 'DELETE' })
    await flush(entry(205, 3))
    await adopt({ api_keys: [{ id: 205, group_id: 7 }] })
    expect(await total(205)).toEqual([3, 3])
    const group = await service.read<Rated>('/admin/provider-groups/7?ended=true')
    expect(group.total_requests).toBe(0)
  })

  test('of a key that is in the catalog counts what came before it', async () => {
    await flush(entry(210, 3))
    await service.putCatalog({ api_keys: [{ id: 210, name: 'x' }] })
    await flush(entry(210, 4))
    expect(await total(210)).toEqual([4, 4])
    expect(await unknown(210)).toMatchObject({ requests: 3 })
    expect(await adopt({ api_keys: [{ id: 210 }] })).toMatchObject({ requests: 3 })
    expect(await total(210)).toEqual([7, 7])
  })

  test('counts again what was posted after the key was retired', async () => {
    await flush(entry(220, 3))
    await adopt({ api_keys: [{ id: 220 }] })
    await service.fetch('admin', '/admin/api-keys/220', { method: 'DELETE' })
    await flush(entry(220, 5))
    expect(await unknown(220)).toMatchObject({ requests: 5, flushes: 1 })
    expect(await adopt({ api_keys: [{ id: 220 }] })).toMatchObject({ requests: 5 })
    expect(await total(220)).toEqual([8, 8])
  })

  test('is explained where it was recorded', async () => {
    const at = await flush(entry(230, 3))
    const { position } = await adopt({ api_keys: [{ id: 230 }] })
    expect(position).not.toBe(at)
    const { items } = await service.read<{
      items: { shard: number; position: number; type: string; counted: { requests: number } }[]
    }>('/audit/explain?api_key_id=230')
    const steps = items.map((item) => [`${item.shard}/${item.position}`, item.type])
    expect(steps).toEqual([[position!, 'UnknownKeysAdopted']])
    expect(items[0]!.counted.requests).toBe(3)
  })

  test.each([
    ['no key', {}],
    ['no key in its lists', { api_keys: [], keys: [] }],
    ['a provider group', { provider_groups: [{ id: 1 }], api_keys: [{ id: 1 }] }],
    ['a key without a name', { api_keys: [{ group_id: 1 }] }],
    ['an unknown member', { api_keys: [{ id: 1, x: 1 }] }],
  ])('of %s is refused', async (_, body) => {
    await expectProblem(await post(body), 400, 'invalid adoption')
  })

  test('that contradicts the catalog adopts nothing', async () => {
    await flush(entry(240, 3))
    await service.putCatalog({ api_keys: [{ id: 241, external_id: 'sk-241' }] })
    const body = { api_keys: [{ id: 240, external_id: 'sk-241' }] }
    await expectProblem(await post(body), 409, 'external id conflict')
    expect(await unknown(240)).toMatchObject({ requests: 3 })
  })

  test('is for admins', async () => {
    for (const role of ['auditor', 'dp'] as const) {
      const response = await service.fetch(role, '/admin/unknown-keys/adopt', {
        method: 'POST',
        body: JSON.stringify({ api_keys: [{ id: 1 }] }),
      })
      await expectProblem(response, 403, 'forbidden')
    }
  })
})

describe('a flush with unknown keys', () => {
  test('that was reversed is not adopted', async () => {
    await service.putCatalog({ api_keys: [{ id: 300 }] })
    await flush(entry(301, 4), entry('sk-302', 1))
    const twice = await flush(entry(300, 1), entry(301, 4), entry('sk-302', 1))
    expect((await reverse(twice)).status).toBe(201)
    expect(await unknown(301)).toMatchObject({ requests: 4, flushes: 1 })
    await adopt({ api_keys: [{ id: 301 }, { id: 302, external_id: 'sk-302' }] })
    expect(await total(300)).toEqual([0, 0])
    expect(await total(301)).toEqual([4, 4])
    expect(await total(302)).toEqual([1, 1])
  })

  test('that was reversed is one flush less, however large its sums are', async () => {
    const largest = Number.MAX_SAFE_INTEGER
    await service.putCatalog({ api_keys: [{ id: 303 }] })
    await flush(entry(304, 4))
    const large = await flush(entry(303, 1), entry(304, largest), entry(304, largest))
    expect((await reverse(large)).status).toBe(201)
    expect(await unknown(304)).toMatchObject({ requests: 4, flushes: 1 })
    expect(await adopt({ api_keys: [{ id: 304 }] })).toMatchObject({ requests: 4 })
  })

  test('that is reversed after an adoption takes back what that counted of it', async () => {
    await service.putCatalog({ provider_groups: [{ id: 6 }] })
    await flush(entry(310, 4, 3))
    const twice = await flush(entry(310, 4, 3), entry(310, 1), entry('sk-311', 2))
    await adopt({ api_keys: [{ id: 310, group_id: 6 }] })
    expect(await groupTotal(6)).toBe(9)
    // The group that counted it gives it back, whatever the group is now.
    await service.putCatalog({ api_keys: [{ id: 310, group_id: 0 }] })
    expect((await reverse(twice)).status).toBe(201)
    expect(await total(310)).toEqual([4, 3])
    expect(await groupTotal(6)).toBe(4)
    expect(await unknown('sk-311')).toBeUndefined()
    expect(await adopt({ api_keys: [{ external_id: 'sk-311' }] })).toMatchObject({ requests: 0 })
  })

  test('of token keys gives back the quota that an adoption used', async () => {
    const twice = await flushKeys({ token_hash: 'h-3', requests: 1, tokens: 10 })
    await adopt({ keys: [{ token_hash: 'h-3', quota_limit: 100 }] })
    await service.putCatalog({ keys: [{ token_hash: 'h-3', quota_limit: -1 }] })
    expect((await reverse(twice)).status).toBe(201)
    expect(await service.read<object>('/admin/keys/h-3')).toMatchObject({
      ...{ request_count: 0, used_tokens: 0, quota_used: 0 },
    })
  })

  test('that counts nothing, and an adoption, can not be reversed', async () => {
    const position = await flush(entry(320, 4))
    await expectProblem(await reverse(position), 422, 'counts nothing')
    const adopted = await adopt({ api_keys: [{ id: 320 }] })
    await expectProblem(await reverse(adopted.position!), 422, 'counts nothing')
    expect((await reverse(position)).status).toBe(201)
    expect(await total(320)).toEqual([0, 0])
  })
})

test('everything is recomputed from the log as it stands', async () => {
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  await rebuildByHttp(service, ['bookkeeping', 'api_key_counters', 'usage'])
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})
