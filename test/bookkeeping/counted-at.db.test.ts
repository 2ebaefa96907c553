import { beforeAll, expect, test } from 'bun:test'
import { verify } from '../proofs/integrity/history.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { rebuildByHttp } from '../support/rebuild.ts'
import { useService } from '../support/service.ts'

// Acts find flushes in the quarter hour in which they were counted, wherever they were recorded.

const HOUR_S = 3_600
/** The start of an hour, some hours ago. */
const hourS = (Math.floor(Date.now() / 1_000 / HOUR_S) - 8) * HOUR_S

const service = useService()

beforeAll(async () => {
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})

type Rated = { total_requests: number; success_requests: number }
type Usage = { items: { from: string; total_requests: number; request_count: number }[] }

async function post(path: string, counted_at: number | null, keys: object[]): Promise<string> {
  const response = await service.post(path, { counted_at, keys })
  expect(response.status).toBe(200)
  return positionOf(response)
}
const flush = (counted_at: number | null, ...keys: object[]) =>
  post('/internal/apikey-stats/flush', counted_at, keys)
const flushKeys = (counted_at: number | null, ...keys: object[]) =>
  post('/internal/stats/flush', counted_at, keys)
const reverse = (position: string) =>
  service.act('/admin/corrections', { reverse: position, reason: 'posted twice' })

async function adopt(body: object): Promise<number> {
  const init = { method: 'POST', body: JSON.stringify(body) }
  const response = await service.fetch('admin', '/admin/unknown-keys/adopt', init)
  expect(response.status).toBe(200)
  return ((await response.json()) as { requests: number }).requests
}

/** The hours with usage from `hourS` on, as [hours after it, requests]. */
async function hours(scope: string, more = ''): Promise<[number, number][]> {
  const [from, to] = [hourS, hourS + 10 * HOUR_S].map((at) => new Date(at * 1_000).toISOString())
  const { items } = await service.read<Usage>(`/admin/usage?${scope}&from=${from}&to=${to}${more}`)
  return items
    .map((item, i): [number, number] => [i, item.total_requests ?? item.request_count])
    .filter(([, requests]) => requests !== 0)
}

const total = async (scope: string) => (await service.read<Rated>(`/admin/${scope}`)).total_requests

test('a reversal takes back from the hour in which the flush was counted', async () => {
  const entry = { api_key_id: 1, requests: 5, success_requests: 4 }
  await flush(hourS, entry)
  const position = await flush(hourS + HOUR_S, entry)
  expect(await hours('api_key_id=1')).toEqual([
    [0, 5],
    [1, 5],
  ])
  const at = await reverse(position)
  expect(await hours('api_key_id=1')).toEqual([[0, 5]])
  expect(await hours('group_id=1')).toEqual([[0, 5]])
  expect(await total('api-keys/1')).toBe(5)
  const before = `&as_of_position=0/${Number(at.slice(2)) - 1}`
  expect(await hours('api_key_id=1', before)).toEqual([
    [0, 5],
    [1, 5],
  ])
  const { payload } = await service.read<{ payload: object }>(`/audit/events/${at}`)
  const time = new Date((hourS + HOUR_S) * 1_000).toISOString().slice(0, 19)
  expect(payload).toMatchObject({ reversed: position, at: `${time}.000000+00:00` })
})

test('a reversal of a flush counted in the quarter hour of its event states that time', async () => {
  const position = await flush(Math.floor(Date.now() / 1_000), { api_key_id: 1, requests: 7 })
  const event = await service.read<{ recorded_at: string; payload: { counted_at: number } }>(
    `/audit/events/${position}`,
  )
  const quarterOf = (ms: number) => Math.floor(ms / 900_000)
  const isSame =
    quarterOf(Date.parse(event.recorded_at)) === quarterOf(event.payload.counted_at * 1_000)
  const { payload } = await service.read<{ payload: { at: string } }>(
    `/audit/events/${await reverse(position)}`,
  )
  if (isSame) expect(payload.at).toBe(event.recorded_at)
  expect(await total('api-keys/1')).toBe(5)
})

test('an adoption counts in the hours in which flushes were counted', async () => {
  const before = await flush(hourS + 2 * HOUR_S, { api_key: 'sk-1', requests: 3 })
  await flush(hourS + 3 * HOUR_S, { api_key: 'sk-1', requests: 10 })
  await flushKeys(hourS + 4 * HOUR_S, { token_hash: 'h-1', requests: 2, tokens: 30 })
  const adopted = await adopt({
    api_keys: [{ id: 21, external_id: 'sk-1', group_id: 1 }],
    keys: [{ token_hash: 'h-1' }],
  })
  expect(adopted).toBe(15)
  expect(await hours('api_key_id=21')).toEqual([
    [2, 3],
    [3, 10],
  ])
  expect(await hours('token_hash=h-1')).toEqual([[4, 2]])
  // What the adoption counted of this flush.
  await reverse(before)
  expect(await hours('api_key_id=21')).toEqual([[3, 10]])
  expect(await hours('group_id=1')).toEqual([
    [0, 5],
    [3, 10],
  ])
})

test('a reversed flush is withdrawn from the hour of its unknown keys', async () => {
  const known = { api_key_id: 1, requests: 1 }
  const flushes: string[] = []
  for (const requests of [100, 1_000]) {
    flushes.push(await flush(hourS + 5 * HOUR_S, known, { api_key: 'sk-2', requests }))
    flushes.push(await flushKeys(hourS + 6 * HOUR_S, { token_hash: 'h-2', requests, tokens: 1 }))
  }
  await flush(null, { api_key: 'sk-2', requests: 1 })
  await reverse(flushes[0]!)
  expect(await hours('api_key_id=1')).toEqual([
    [0, 5],
    [5, 1],
  ])
  const adopted = await adopt({
    api_keys: [{ id: 22, external_id: 'sk-2', group_id: 1 }],
    keys: [{ token_hash: 'h-2' }],
  })
  expect(adopted).toBe(1_000 + 1 + 100 + 1_000)
  expect((await hours('api_key_id=22'))[0]).toEqual([5, 1_000])
  expect(await hours('token_hash=h-2')).toEqual([[6, 1_100]])
})

test('rebuilt projections are the same, and auditors find nothing', async () => {
  const usage = await service.read<Usage>(`/admin/usage?bucket=day`)
  await rebuildByHttp(service, ['usage', 'bookkeeping'])
  expect(await service.read<Usage>(`/admin/usage?bucket=day`)).toEqual(usage)
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  await untilSigned(service)
  const { findings } = await auditService(service)
  expect(findings).toEqual([])
})
