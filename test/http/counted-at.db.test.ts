import { afterAll, beforeAll, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { readProblem } from '../support/problem.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'

// A flush that states when it was counted is usage of that quarter hour, and of nothing else.

const API_KEYS = '/internal/apikey-stats/flush'
const KEYS = '/internal/stats/flush'
const MINUTE_S = 60
const HOUR_S = 60 * MINUTE_S
const DAY_S = 24 * HOUR_S

const service = useService()

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: Array.from({ length: 40 }, (_, i) => ({ id: i + 1, group_id: 1 })),
    keys: [{ token_hash: 'k', quota_limit: 1_000 }],
  })
})

const nowS = () => Math.floor(Date.now() / 1_000)
const toTime = (seconds: number) => new Date(seconds * 1_000).toISOString()
/** The start of the quarter hour that contains a moment. */
const quarterOf = (seconds: number) => seconds - (seconds % (15 * MINUTE_S))

let lastId = 0
/** Returns an API key without usage. */
const freshKey = () => ++lastId

function post(id: number, counted_at: unknown, headers: Record<string, string> = {}) {
  return service.post(API_KEYS, { counted_at, keys: [{ api_key_id: id, requests: 1 }] }, headers)
}

type Usage = {
  from: string
  to: string
  items: { from: string; total_requests: number }[]
  total: { total_requests: number }
}

const readUsage = (id: number, query: string) =>
  service.read<Usage>(`/admin/usage?api_key_id=${id}&${query}`)

/** The requests of an API key in the quarter hour that begins at `start`. */
async function readQuarter(id: number, start: number, more = ''): Promise<number> {
  const range = `from=${toTime(start)}&to=${toTime(start + 15 * MINUTE_S)}`
  return (await readUsage(id, `${range}${more}`)).total.total_requests
}

const readRequests = async (id: number, more = '') =>
  (await service.read<{ total_requests: number }>(`/admin/api-keys/${id}${more}`)).total_requests

test('usage is in the quarter hour counted, and totals are the same', async () => {
  const id = freshKey()
  const late = nowS() - 3 * HOUR_S
  const response = await post(id, late)
  expect(await response.json()).toEqual({ updated: 1, groups_updated: 1 })
  await post(id, null)
  expect(await readRequests(id)).toBe(2)
  const start = quarterOf(late)
  expect(await readQuarter(id, start)).toBe(1)
  expect(await readQuarter(id, start - 15 * MINUTE_S)).toBe(0)
  expect(await readQuarter(id, start + 15 * MINUTE_S)).toBe(0)
  const day = `from=${toTime(start - DAY_S)}&to=${toTime(start + DAY_S)}`
  expect((await readUsage(id, day)).total.total_requests).toBe(2)
})

test('a token key is counted likewise, with its quota and its last access', async () => {
  const at = nowS() - 5 * HOUR_S
  const entry = { token_hash: 'k', requests: 2, tokens: 30, last_accessed_at: at }
  await service.post(KEYS, { counted_at: at, keys: [entry] })
  const used = { request_count: 2, used_tokens: 30, quota_used: 30 }
  const accessed = { last_accessed_at: `${toTime(at).slice(0, 19)}+00:00` }
  expect(await service.read('/admin/keys/k')).toMatchObject({ ...used, ...accessed })
  const range = `from=${toTime(quarterOf(at))}&to=${toTime(quarterOf(at) + 15 * MINUTE_S)}`
  const { total } = await service.read<Usage>(`/admin/usage?token_hash=k&${range}`)
  expect(total).toEqual(used as never)
})

test('as of a position or time before the flush, its hour is as it was', async () => {
  const id = freshKey()
  const at = nowS() - 2 * HOUR_S
  await post(id, at)
  const [first] = (await service.read<{ items: { recorded_at: string }[] }>(
    `/audit/explain?api_key_id=${id}`,
  ))!.items
  const before = await service.fetch('admin', `/admin/api-keys/${id}`)
  await post(id, at)
  await post(id, at)
  expect(await readQuarter(id, quarterOf(at))).toBe(3)
  const position = before.headers.get('tallybook-position')
  expect(await readQuarter(id, quarterOf(at), `&as_of_position=${position}`)).toBe(1)
  const moment = encodeURIComponent(first!.recorded_at)
  expect(await readQuarter(id, quarterOf(at), `&as_of=${moment}`)).toBe(1)
  expect(await readRequests(id, `?as_of=${moment}`)).toBe(1)
})

test.each([
  ['34 days ago', -34 * DAY_S],
  ['4 minutes ahead', 4 * MINUTE_S],
])('a flush counted %s is accepted', async (_, offset) => {
  const id = freshKey()
  const at = nowS() + offset
  expect((await post(id, at)).status).toBe(200)
  expect(await readQuarter(id, quarterOf(at))).toBe(1)
  expect(await readRequests(id)).toBe(1)
})

test('usage in an hour that has not begun is shown by a range that includes it', async () => {
  const id = freshKey()
  const at = nowS() + 290
  await post(id, at)
  const { to, total } = await readUsage(id, 'bucket=hour')
  // Without `to`, the range ends with the current hour.
  expect(total.total_requests).toBe(Date.parse(to) / 1_000 > at ? 1 : 0)
  const wide = `from=${toTime(quarterOf(at) - HOUR_S)}&to=${toTime(quarterOf(at) + HOUR_S)}`
  expect((await readUsage(id, wide)).total.total_requests).toBe(1)
})

test.each([
  ['36 days ago', -36 * DAY_S],
  ['6 minutes ahead', 6 * MINUTE_S],
])('a flush counted %s is refused and counts nothing', async (_, offset) => {
  const id = freshKey()
  const response = await post(id, nowS() + offset, { 'idempotency-key': `refused${offset}` })
  expect(await readProblem(response)).toMatchObject({ status: 400, error: 'invalid stats payload' })
  expect(await readRequests(id)).toBe(0)
})

test.each([
  [-1, 'invalid stats payload'],
  [-(2 ** 40), 'invalid stats payload'],
  [Number.MAX_SAFE_INTEGER, 'invalid stats payload'],
  [1.5, 'invalid request body'],
  [2 ** 60, 'invalid request body'],
  ['1700000000', 'invalid request body'],
  [true, 'invalid request body'],
  [[], 'invalid request body'],
])('the time %p is refused as %s', async (counted_at, error) => {
  expect(await readProblem(await post(1, counted_at))).toMatchObject({ status: 400, error })
})

test('the same flush with another time is another flush', async () => {
  const id = freshKey()
  const key = { 'idempotency-key': `time-of-${id}` }
  const at = nowS() - HOUR_S
  expect((await post(id, at, key)).status).toBe(200)
  for (const other of [at - 1, at - DAY_S, null, nowS() - 36 * DAY_S]) {
    expect((await post(id, other, key)).status).toBe(422)
  }
  const replay = await post(id, at, key)
  expect([replay.status, replay.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
  expect(await readRequests(id)).toBe(1)
})

test('days on which clocks change have what was counted in them', async () => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe']
  for (const tz of zones) {
    const now = Temporal.Now.zonedDateTimeISO(tz)
    const changes = [now.getTimeZoneTransition('previous')!]
    changes.push(changes[0]!.getTimeZoneTransition('previous')!)
    for (const day of changes.map((change) => change.startOfDay())) {
      const id = freshKey()
      const start = day.epochMilliseconds / 1_000
      const end = day.add({ days: 1 }).startOfDay().epochMilliseconds / 1_000
      for (const at of [start - 1, start, end - 1, end]) {
        expect((await wide.post(API_KEYS, flushAt(id, at))).status).toBe(200)
      }
      const query = new URLSearchParams({ bucket: 'day', tz, api_key_id: String(id) })
      query.set('from', toTime(start - DAY_S))
      query.set('to', toTime(end + DAY_S))
      const { items } = await service.read<Usage>(`/admin/usage?${query}`)
      const isDay = ({ from }: { from: string }) => Date.parse(from) / 1_000 === start
      expect({ tz, requests: items.find(isDay)!.total_requests }).toEqual({ tz, requests: 2 })
      expect(items.reduce((sum, item) => sum + item.total_requests, 0)).toBe(4)
    }
  }
})

const flushAt = (id: number, counted_at: number) => ({
  counted_at,
  keys: [{ api_key_id: id, requests: 1 }],
})

/** Another instance that accepts older flushes, and one that accepts only flushes of today. */
let wide: TestService
let narrow: TestService

beforeAll(async () => {
  const shared = { database: service.database, shards: service.shards }
  wide = await startTestService({ ...shared, countedAtDays: 3_650 })
  narrow = await startTestService({ ...shared, countedAtDays: 1 })
})
afterAll(async () => {
  await wide?.stop()
  await narrow?.stop()
})

test('a replay is answered after its time went out of range', async () => {
  const id = freshKey()
  const headers = { 'idempotency-key': `old-${id}` }
  const flush = flushAt(id, nowS() - 2 * DAY_S)
  const first = await service.post(API_KEYS, flush, headers)
  const answer = await first.json()
  for (const body of [JSON.stringify(flush), JSON.stringify(flush).padEnd(300 * 1024)]) {
    const replay = await narrow.post(API_KEYS, body, headers)
    expect([replay.status, positionOf(replay)]).toEqual([200, positionOf(first)])
    expect(await replay.json()).toEqual(answer)
  }
  expect((await narrow.post(API_KEYS, flush)).status).toBe(400)
  expect(await readRequests(id)).toBe(1)
})

test('a large flush is counted at its time, and refused if that is out of range', async () => {
  const id = freshKey()
  const at = nowS() - 4 * HOUR_S
  const large = (time: number) => JSON.stringify(flushAt(id, time)).padEnd(300 * 1024)
  expect((await service.post(API_KEYS, large(at))).status).toBe(200)
  expect(await readQuarter(id, quarterOf(at))).toBe(1)
  expect((await service.post(API_KEYS, large(nowS() - 36 * DAY_S))).status).toBe(400)
  expect((await wide.post(API_KEYS, large(nowS() - 36 * DAY_S))).status).toBe(200)
  expect(await readRequests(id)).toBe(2)
})

test('the event and the explanation of its total show the time', async () => {
  const id = freshKey()
  const at = nowS() - 6 * HOUR_S
  const position = positionOf(await post(id, at))
  await post(id, null)
  const { items } = await service.read<{
    items: { shard: number; position: number; counted_at?: string }[]
  }>(`/audit/explain?api_key_id=${id}`)
  const times = items.map(({ counted_at }) => counted_at)
  expect(times).toEqual([`${toTime(at).slice(0, 19)}+00:00`, undefined])
  expect(`${items[0]!.shard}/${items[0]!.position}`).toBe(position)
  const event = await service.read<{ payload: object; entries: object[] }>(
    `/audit/events/${position}`,
  )
  expect(event.payload).toMatchObject({ counted_at: at })
  expect(event.entries).toMatchObject([{ api_key_id: id, group_id: 1, requests: 1 }])
})

test('a flush without entries has none in the view flush_entries', async () => {
  const at = nowS() - HOUR_S
  const places = await Promise.all(
    [API_KEYS, KEYS].map(async (path) =>
      positionOf(await service.post(path, { counted_at: at, keys: [] })),
    ),
  )
  const rows = await service.database.owner`
    select from flush_entries where shard || '/' || position = any(${places})`
  expect(rows.length).toBe(0)
})
