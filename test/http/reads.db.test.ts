import { beforeAll, expect, test } from 'bun:test'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { lockRows, positionOf } from '../support/events.ts'
import { type TestService, useInstances } from '../support/service.ts'

// Each read reflects every flush that was acknowledged before it began, and states its positions.

type Rated = { id: number; total_requests: number; success_requests: number; ended_at?: string }

const FLUSH = '/internal/apikey-stats/flush'

const [one, other] = useInstances()

beforeAll(async () => {
  await one.putCatalog({
    provider_groups: [{ id: 1, name: 'openai' }, { id: 2 }, { id: 3 }],
    api_keys: [1, 2, 3, 4].map((id) => ({ id, group_id: id })),
    keys: [{ token_hash: 'k', quota_limit: 10 }, { token_hash: 'a/b %c' }],
  })
})

const post = (service: TestService, id: number, requests = 1) =>
  service.post(FLUSH, { keys: [{ api_key_id: id, requests, success_requests: 1 }] })

/** True if positions such as `0/41,1/7` include one such as `1/6`. */
function reflects(positions: string, position: string): boolean {
  const [shard, required] = position.split('/')
  const part = positions.split(',').find((one) => one.startsWith(`${shard}/`))
  return Number(part?.split('/')[1]) >= Number(required)
}

test('a read reflects every flush acknowledged before, through either instance', async () => {
  let expected = (await one.read<Rated>('/admin/api-keys/1')).total_requests
  for (let i = 0; i < 40; i++) {
    const writer = i % 2 === 0 ? one : other
    const reader = i % 3 === 0 ? one : other
    const position = positionOf(await post(writer, 1))
    expected++
    for (const path of ['/admin/api-keys/1', '/admin/provider-groups/1']) {
      const response = await reader.fetch('auditor', path)
      expect(((await response.json()) as Rated).total_requests).toBe(expected)
      expect(reflects(positionOf(response), position)).toBeTrue()
    }
  }
})

test('readers see every acknowledged flush while others are written', async () => {
  const start = (await one.read<Rated>('/admin/api-keys/2')).total_requests
  let acknowledged = 0
  await Promise.all(
    [one, other, one, other].map(async (service) => {
      for (let i = 0; i < 15; i++) {
        await post(service, 2)
        acknowledged++
        const before = acknowledged
        const read = await (i % 2 === 0 ? one : other).read<Rated>('/admin/api-keys/2')
        expect(read.total_requests).toBeGreaterThanOrEqual(start + before)
      }
    }),
  )
})

test('a catalog change is seen by the next read through the other instance', async () => {
  for (let i = 0; i < 10; i++) {
    await one.putCatalog({ provider_groups: [{ id: 1, name: `name-${i}` }] })
    expect(await other.read('/admin/provider-groups/1')).toMatchObject({ name: `name-${i}` })
  }
})

test('Tallybook-Position has one position per shard', async () => {
  for (const path of ['/admin/keys', '/admin/apikey-stats/summary', '/admin/api-keys/1']) {
    const parts = positionOf(await one.fetch('admin', path)).split(',')
    expect(parts.map((part) => part.split('/')[0])).toEqual(
      Array.from({ length: one.shards }, (_, shard) => String(shard)),
    )
  }
})

test('consistency=eventual answers at once while a default read waits', async () => {
  const before = await one.read<Rated>('/admin/api-keys/1')
  const pool = connectAsOwner(one.database.address)
  const connection = await pool.reserve()
  // No projector can write until this is rolled back.
  await connection`begin`
  await lockRows(connection, 'checkpoints')
  const position = positionOf(await post(one, 1))
  let waited = true
  const plain = one.fetch('admin', '/admin/api-keys/1').finally(() => {
    waited = false
  })
  const eventual = await one.fetch('admin', '/admin/api-keys/1?consistency=eventual')
  expect(eventual.status).toBe(200)
  expect(reflects(positionOf(eventual), position)).toBeFalse()
  expect(await eventual.json()).toEqual(before)
  expect(waited).toBeTrue()
  await connection`rollback`
  connection.release()
  await pool.end()
  const response = await plain
  expect(reflects(positionOf(response), position)).toBeTrue()
  expect(await response.json()).toMatchObject({ total_requests: before.total_requests + 1 })
})

test('an ended row is left out unless requested, and its counts remain', async () => {
  await post(one, 3, 5)
  const group = await one.read<Rated>('/admin/provider-groups/3')
  expect((await one.fetch('admin', '/admin/provider-groups/3', { method: 'DELETE' })).status).toBe(
    204,
  )
  expect((await one.fetch('admin', '/admin/provider-groups/3')).status).toBe(404)
  const ids = async (query: string) =>
    (await one.read<{ items: Rated[] }>(`/admin/provider-groups${query}`)).items.map(({ id }) => id)
  expect(await ids('')).toEqual([1, 2])
  expect(await ids('?ended=true')).toEqual([1, 2, 3])
  const ended = await one.read<Rated>('/admin/provider-groups/3?ended=true')
  const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/)
  expect(ended).toEqual({ ...group, ended_at: at as unknown as string })
  // Its key still counts, but for no group.
  expect(await (await post(one, 3)).json()).toEqual({ updated: 1, groups_updated: 0 })
  // A group that is added again continues from its old counts.
  await one.putCatalog({ provider_groups: [{ id: 3 }] })
  expect(await one.read<Rated>('/admin/provider-groups/3')).toEqual(group)
  await one.fetch('admin', '/admin/provider-groups/3', { method: 'DELETE' })
})

test('the summary is the sum over all groups, including ended ones', async () => {
  await post(other, 2, 3)
  const { items } = await one.read<{ items: Rated[] }>('/admin/provider-groups?ended=true')
  const sum = (field: 'total_requests' | 'success_requests') =>
    items.reduce((total, item) => total + item[field], 0)
  const total = sum('total_requests')
  const success = sum('success_requests')
  expect(items.some(({ ended_at }) => ended_at !== undefined)).toBeTrue()
  expect(await one.read<Rated>('/admin/apikey-stats/summary')).toEqual({
    total_requests: total,
    success_requests: success,
    failure_requests: total - success,
    success_rate: success / total,
    failure_rate: (total - success) / total,
  } as unknown as Rated)
})

test('group_id selects the keys of one group', async () => {
  const ids = async (group: number) =>
    (await one.read<{ items: Rated[] }>(`/admin/api-keys?group_id=${group}`)).items.map(
      ({ id }) => id,
    )
  await one.putCatalog({ api_keys: [{ id: 5, group_id: 2 }, { id: 6 }] })
  expect(await ids(2)).toEqual([2, 5])
  expect(await ids(0)).toEqual([6])
  expect(await ids(999)).toEqual([])
})

test('an unknown id gets 404 and an impossible one 400', async () => {
  const status = async (path: string) => (await one.fetch('admin', path)).status
  for (const path of [
    '/provider-groups/99',
    `/api-keys/${Number.MAX_SAFE_INTEGER}`,
    '/keys/none',
  ]) {
    expect(await status(`/admin${path}`)).toBe(404)
  }
  for (const path of ['/provider-groups/0', '/api-keys/x', '/api-keys/-1', '/api-keys/1.5']) {
    expect(await status(`/admin${path}`)).toBe(400)
  }
  expect(await status('/admin/api-keys/9999999999999999')).toBeOneOf([400, 404])
  expect(await status('/admin/keys/%00')).toBeOneOf([400, 404])
  expect(await status(`/admin/keys/${encodeURIComponent('a/b %c')}`)).toBe(200)
})
