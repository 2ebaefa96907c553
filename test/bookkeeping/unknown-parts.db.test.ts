import { beforeAll, expect, test } from 'bun:test'
import { verify } from '../proofs/integrity/history.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { rebuildByHttp } from '../support/rebuild.ts'
import { useService } from '../support/service.ts'

// An adopted key has the dimensions and measures that flushes posted for it, as if it had been
// known: in totals, in usage by dimension, and as of times since the adoption.

const service = useService()

const MAX = Number.MAX_SAFE_INTEGER
const HOUR_S = 3_600
/** The start of an hour, some hours ago. */
const hourS = (Math.floor(Date.now() / 1_000 / HOUR_S) - 8) * HOUR_S

const put = (body: object) =>
  service.fetch('admin', '/admin/catalog', { method: 'PUT', body: JSON.stringify(body) })

beforeAll(async () => {
  const names = (...all: string[]) => all.map((name) => ({ name }))
  const catalog = {
    ...{ provider_groups: [{ id: 1, name: null }], api_keys: [{ id: 1, group_id: 1, name: null }] },
    keys: [{ token_hash: 'known', quota_limit: 10, name: null }],
    ...{ dimensions: names('model', 'status'), measures: names('retired', 'cost') },
  }
  expect((await put(catalog)).status).toBe(200)
})

const PATHS = { api_key: '/internal/apikey-stats/flush', key: '/internal/stats/flush' }

async function flush(kind: keyof typeof PATHS, keys: object[], counted_at?: number) {
  const response = await service.post(PATHS[kind], { keys, ...(counted_at && { counted_at }) })
  expect(response.status).toBe(200)
  return positionOf(response)
}
const reverse = (position: string) =>
  service.act('/admin/corrections', { reverse: position, reason: 'posted twice' })

async function adopt(body: object): Promise<{ position: string | null; requests: number }> {
  const init = { method: 'POST', body: JSON.stringify(body) }
  const response = await service.fetch('admin', '/admin/unknown-keys/adopt', init)
  expect(response.status).toBe(200)
  return (await response.json()) as { position: string | null; requests: number }
}

type Part = {
  dimensions: { model: string | null }
  measures: Record<string, number>
  total_requests: number
  request_count: number
}

/** The rows of the breakdown by model, as [model, requests, cost]. */
async function models(scope: string, more = ''): Promise<[string | null, number, number][]> {
  const [from, to] = [hourS, hourS + 10 * HOUR_S].map((at) => new Date(at * 1_000).toISOString())
  const { items } = await service.read<{ items: Part[] }>(
    `/admin/breakdown?by=model&${scope}&from=${from}&to=${to}${more}`,
  )
  return items.map((item) => [
    item.dimensions.model,
    item.total_requests ?? item.request_count,
    item.measures.cost!,
  ])
}

const measures = async (path: string) =>
  (await service.read<{ measures: object }>(`/admin/${path}`)).measures

const a = { dimensions: { model: 'a' }, measures: { cost: 5 } }
const b = { dimensions: { model: 'b', status: '200' }, measures: { cost: 7, retired: 1 } }

test('an adoption counts dimensions and measures where they were posted', async () => {
  const named = [
    { api_key: 'sk-1', requests: 3, ...a },
    { api_key: 'sk-1', requests: 2, success_requests: 1, ...b },
    { api_key: 'sk-1', requests: 1 },
    { api_key_id: 1, requests: 10, ...a },
  ]
  await flush('api_key', named, hourS)
  await flush('api_key', [{ api_key: 'sk-1', requests: 4, ...a }])
  await flush('key', [{ token_hash: 'h-1', requests: 2, tokens: 30, ...b }], hourS + HOUR_S)
  const keys = {
    api_keys: [{ id: 21, external_id: 'sk-1', group_id: 1 }],
    keys: [{ token_hash: 'h-1' }],
  }
  const { position, requests } = await adopt(keys)
  expect(requests).toBe(12)
  expect(await adopt(keys)).toMatchObject({ position: null, requests: 0 })
  expect(await models('api_key_id=21')).toEqual([
    ['a', 7, 10],
    ['b', 2, 7],
    [null, 1, 0],
  ])
  expect(await models('group_id=1')).toEqual([
    ['a', 17, 15],
    ['b', 2, 7],
    [null, 1, 0],
  ])
  expect(await models('token_hash=h-1')).toEqual([['b', 2, 7]])
  expect(await measures('api-keys/21')).toEqual({ retired: 1, cost: 17 })
  expect(await measures('provider-groups/1')).toEqual({ retired: 1, cost: 22 })
  expect(await measures('keys/h-1')).toEqual({ retired: 1, cost: 7 })
  const before = `&as_of_position=0/${Number(position!.slice(2)) - 1}`
  expect(await models('group_id=1', before)).toEqual([['a', 10, 5]])
  const { payload } = await service.read<{ payload: object }>(`/audit/events/${position}`)
  expect(payload).toMatchObject({ combinations: expect.any(Array) })
})

test('a flush that was adopted is taken back as it was posted', async () => {
  const position = await flush('api_key', [{ api_key: 'sk-2', requests: 3, ...b }], hourS)
  await flush('api_key', [{ api_key: 'sk-2', requests: 1, ...b }], hourS)
  await adopt({ api_keys: [{ id: 22, external_id: 'sk-2', group_id: 1 }] })
  expect(await models('api_key_id=22')).toEqual([['b', 4, 14]])
  await reverse(position)
  expect(await models('api_key_id=22')).toEqual([['b', 1, 7]])
  expect(await measures('api-keys/22')).toEqual({ retired: 1, cost: 7 })
})

test('a flush that was reversed before is not adopted, nor are its measures', async () => {
  const known = { api_key_id: 1, requests: 1, ...a }
  const position = await flush('api_key', [known, { api_key: 'sk-3', requests: 3, ...b }], hourS)
  await flush('api_key', [{ api_key: 'sk-3', requests: 2, ...a }], hourS)
  const ofKeys = [
    { token_hash: 'known', requests: 1, tokens: 1 },
    { token_hash: 'h-3', requests: 3, tokens: 3, ...b },
  ]
  await reverse(position)
  await reverse(await flush('key', ofKeys, hourS))
  await flush('key', [{ token_hash: 'h-3', requests: 1, tokens: 1 }], hourS)
  const keys = [{ token_hash: 'h-3' }]
  await adopt({ api_keys: [{ id: 23, external_id: 'sk-3', group_id: 1 }], keys })
  expect(await models('api_key_id=23')).toEqual([['a', 2, 5]])
  expect(await models('token_hash=h-3')).toEqual([[null, 1, 0]])
  expect(await measures('keys/h-3')).toEqual({ retired: 0, cost: 0 })
})

test('sums beyond 2^53, and dimensions and measures that were retired since, are adopted', async () => {
  const large = { dimensions: { model: 'c' }, measures: { cost: MAX, retired: MAX } }
  for (let i = 0; i < 3; i++) {
    await flush('api_key', [{ api_key_id: 24, requests: MAX, ...large }], hourS)
  }
  for (const path of ['dimensions/model', 'measures/retired']) {
    expect((await service.fetch('admin', `/admin/${path}`, { method: 'DELETE' })).status).toBe(204)
  }
  await adopt({ api_keys: [{ id: 24, group_id: 0 }] })
  const text = await (await service.fetch('admin', '/admin/api-keys/24')).text()
  expect(text).toContain(`"retired":${3n * BigInt(MAX)}`)
  expect(text).toContain(`"cost":${3n * BigInt(MAX)}`)
  expect((await models('api_key_id=24'))[0]![0]).toBe('c')
})

test('rebuilt projections are the same, and auditors find nothing', async () => {
  const usage = () => models('group_id=1')
  const before = await usage()
  await rebuildByHttp(service, ['usage', 'bookkeeping'])
  expect(await usage()).toEqual(before)
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  await untilSigned(service)
  const { findings, report } = await auditService(service)
  expect(findings).toEqual([])
  expect(report).toMatchObject({ missedActs: 0 })
})
