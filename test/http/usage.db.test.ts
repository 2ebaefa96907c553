import { beforeAll, describe, expect, test } from 'bun:test'
import { insertEvent, insertEvents, positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// Usage over time: what counts in which hour or day of which time zone.

type Rated = { total_requests: number; success_requests: number }
type Usage = { items: (Rated & { from: string; to: string })[]; total: Rated }

/** Times of events: every 61 hours over two years, more often around clock changes. */
const TIMES = [
  ...range('2024-01-01T00:07:00Z', '2026-06-01T00:00:00Z', 61 * 3_600),
  ...range('2026-03-27T00:00:00Z', '2026-04-07T00:00:00Z', 2_500),
  ...range('2026-10-24T00:00:00Z', '2026-11-03T00:00:00Z', 2_500),
].sort()

const service = useService()
/** The counted requests, one event each, by one of two API keys. */
let counted: { at: string; requests: number; key: number; shard: number }[]

beforeAll(async () => {
  const { owner } = service.database
  counted = TIMES.map((at, i) => ({
    ...{ at, requests: 1 + (i % 7), key: 1 + (i % 2), shard: i % service.shards },
  }))
  for (const [shard, rows] of Map.groupBy(counted, (row) => row.shard)) {
    const payloads = rows.map(({ requests, key }) =>
      JSON.stringify({
        ...{ groups: [10 * key, null], counts: [1, 1], ids: [key, 99] },
        ...{ requests: [requests, 5], successes: [1, 5] },
      }),
    )
    const recordedAt = rows.map(({ at }) => at)
    await insertEvents(owner, payloads, { shard, type: 'ApiKeyStatsFlushed', recordedAt })
  }
  await insertEvent(owner, {
    recordedAt: '2026-11-04T00:00:00Z',
    payload: JSON.stringify({
      ...{ hashes: ['k', 'unknown', 'k'], requests: [2, 9, 0], tokens: [30, 9, 12] },
      ...{ last_accessed_at: [1, 1, 1], quota_tracked: [true, null, false] },
    }),
  })
  // The total is the sum over the groups in the catalog.
  await service.putCatalog({ provider_groups: [{ id: 10 }, { id: 20 }] })
})

function range(from: string, to: string, seconds: number): string[] {
  const times: string[] = []
  for (let at = Date.parse(from); at < Date.parse(to); at += seconds * 1_000) {
    times.push(new Date(at).toISOString())
  }
  return times
}

const read = (query: string) => service.read<Usage>(`/admin/usage?${query}`)

/** Returns the number of requests in a range. */
function sumIn({ from, to }: { from: string; to: string }): number {
  const [start, end] = [from, to].map((bound) => new Date(bound).toISOString())
  return sumOf(counted.filter(({ at }) => at >= start! && at < end!))
}
const sumOf = (rows: { requests: number }[]) => rows.reduce((sum, row) => sum + row.requests, 0)

/** Returns the local date of a time, computed in another way than in the service. */
const localDay = (tz: string) => {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone: tz, dateStyle: 'short' })
  return (at: string) => format.format(new Date(at))
}

const RANGE = { from: '2023-12-31T00:00:00Z', to: '2026-12-01T00:00:00Z' }
const IN_RANGE = `from=${RANGE.from}&to=${RANGE.to}`
const ZONES = Intl.supportedValuesOf('timeZone')

/** Returns the offsets of a zone in the range and when they change, as a key to group zones by. */
function rulesOf(tz: string): string {
  let at = Temporal.Instant.from(RANGE.from).toZonedDateTimeISO(tz)
  const rules = [at.offset]
  for (;;) {
    const next = at.getTimeZoneTransition('next')
    if (next === null || next.epochMilliseconds >= Date.parse(RANGE.to)) return rules.join()
    at = next
    rules.push(at.toString({ timeZoneName: 'never' }))
  }
}

describe('the buckets add up to the total', () => {
  async function expectWhole(tz: string, { from, to }: typeof RANGE, whole: number) {
    const query = `from=${from}&to=${to}&bucket=day&tz=${encodeURIComponent(tz)}`
    const { items, total } = await read(query)
    expect([tz, total.total_requests]).toEqual([tz, whole])
    expect(items.reduce((sum, item) => sum + item.total_requests, 0)).toBe(whole)
    for (const [i, item] of items.entries()) if (i > 0) expect(item.from).toBe(items[i - 1]!.to)
  }

  test('in every zone', async () => {
    const range = { from: '2026-10-24T00:00:00Z', to: '2026-10-27T00:00:00Z' }
    const whole = sumIn(range)
    expect(whole).toBeGreaterThan(0)
    for (const tz of ZONES) await expectWhole(tz, range, whole)
  })

  test('over three years, in a zone of every set of clock changes', async () => {
    const zones = [...Map.groupBy(ZONES, rulesOf).values()].map(([zone]) => zone!)
    expect(zones.length).toBeGreaterThan(40)
    for (const tz of zones) await expectWhole(tz, RANGE, sumOf(counted))
  })

  test.each([
    ...['Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe'],
    ...['America/Havana', 'Pacific/Chatham', 'Africa/Cairo', 'UTC', 'America/St_Johns'],
  ])('each day in %s has the requests of that day', async (tz) => {
    const dayOf = localDay(tz)
    const days = Map.groupBy(counted, ({ at }) => dayOf(at))
    const { items } = await read(`${IN_RANGE}&bucket=day&tz=${encodeURIComponent(tz)}`)
    const found = items.map((item) => [dayOf(item.from), item.total_requests] as const)
    expect(new Map(found.filter(([, total]) => total > 0))).toEqual(
      new Map([...days].map(([day, rows]) => [day, sumOf(rows)])),
    )
    expect(
      items.every(({ to }, i) => i === items.length - 1 || dayOf(to) !== dayOf(items[i]!.from)),
    ).toBeTrue()
  })

  test.each(['Europe/Berlin', 'Australia/Lord_Howe', 'Asia/Kathmandu'])(
    'each hour in %s has the requests of that hour',
    async (tz) => {
      const query = 'from=2026-03-28T00:00:00Z&to=2026-04-06T00:00:00Z'
      const { items } = await read(`${query}&bucket=hour&tz=${encodeURIComponent(tz)}`)
      for (const { from, to, total_requests } of items) {
        expect(total_requests).toBe(sumIn({ from, to }))
        expect(Date.parse(to) - Date.parse(from)).toBeLessThanOrEqual(3_600_000)
      }
    },
  )
})

test('a group and an API key have their own usage, and an unknown one has none', async () => {
  const all = `${IN_RANGE}&bucket=day`
  for (const key of [1, 2]) {
    const whole = sumOf(counted.filter((row) => row.key === key))
    expect((await read(`${all}&group_id=${10 * key}`)).total.total_requests).toBe(whole)
    expect((await read(`${all}&api_key_id=${key}`)).total.total_requests).toBe(whole)
  }
  for (const none of ['group_id=99', 'api_key_id=99', 'group_id=0', 'api_key_id=12345']) {
    expect((await read(`${all}&${none}`)).total.total_requests).toBe(0)
  }
})

test('the usage of a token key has requests, tokens and quota', async () => {
  const { items, total } = await service.read<{ items: object[]; total: object }>(
    '/admin/usage?from=2026-11-04T00:00:00Z&to=2026-11-04T02:00:00Z&token_hash=k',
  )
  const used = { request_count: 2, used_tokens: 42, quota_used: 30 }
  const none = { request_count: 0, used_tokens: 0, quota_used: 0 }
  expect(total).toEqual(used)
  expect(items).toEqual([
    { from: '2026-11-04T00:00:00+00:00', to: '2026-11-04T01:00:00+00:00', ...used },
    { from: '2026-11-04T01:00:00+00:00', to: '2026-11-04T02:00:00+00:00', ...none },
  ])
})

test('usage includes every flush that was acknowledged before the read', async () => {
  await service.putCatalog({ provider_groups: [{ id: 7 }], api_keys: [{ id: 7, group_id: 7 }] })
  for (let requests = 1; requests <= 5; requests++) {
    await service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 7, requests: 1 }] })
    const { total } = await read('group_id=7')
    expect(total.total_requests).toBe(requests)
  }
})

test('usage as of a position is what was counted through it', async () => {
  const query = '/admin/usage?from=2024-01-01T00:00:00Z&to=2026-12-01T00:00:00Z&bucket=day'
  const heads = positionOf(await service.fetch('admin', query))
  const shard0 = counted.filter(({ shard }) => shard === 0)
  const others = Array.from({ length: service.shards - 1 }, (_, i) => `,${i + 1}/-1`).join('')
  for (const position of [-1, 0, 1, 17, 100, shard0.length - 1]) {
    const asOf = `&as_of_position=0/${position}${others}`
    const whole = await service.read<Usage>(`${query}${asOf}`)
    const rows = shard0.slice(0, position + 1)
    expect(whole.total.total_requests).toBe(sumOf(rows))
    const days = Map.groupBy(rows, ({ at }) => at.slice(0, 10))
    for (const { from, total_requests } of whole.items) {
      expect(total_requests).toBe(sumOf(days.get(from.slice(0, 10)) ?? []))
    }
    const ofKey = await service.read<Usage>(`${query}${asOf}&api_key_id=2`)
    expect(ofKey.total.total_requests).toBe(sumOf(rows.filter(({ key }) => key === 2)))
  }
  const now = await service.read<Usage>(`${query}&as_of_position=${heads}`)
  expect(now).toEqual(await service.read<Usage>(query))
})

test('usage as of a time ends with its hour or day, unless the query has to=', async () => {
  const others = Array.from({ length: service.shards - 1 }, (_, i) => `,${i + 1}/-1`).join('')
  const { at } = counted.filter(({ shard }) => shard === 0)[17]!
  const hour = `${new Date(Date.parse(at) + 3_600_000).toISOString().slice(0, 13)}:00:00+00:00`
  const day = `${new Date(Date.parse(at) + 86_400_000).toISOString().slice(0, 10)}T00:00:00+00:00`
  const endOf = async (query: string) => (await read(query)).items.at(-1)!.to
  for (const then of [
    `as_of_position=0/17${others}`,
    `as_of=${at}`,
    `as_of=${at.slice(0, 19)}.123456789Z`,
  ]) {
    expect([then, await endOf(then)]).toEqual([then, hour])
    expect([then, await endOf(`${then}&bucket=day`)]).toEqual([then, day])
    expect(await endOf(`${then}&from=2024-01-01T00:00:00Z&to=2024-01-02T00:00:00Z`)).toBe(
      '2024-01-02T00:00:00+00:00',
    )
  }
  // Before the first event there is no such time.
  const none = await endOf(`as_of_position=0/-1${others}`)
  expect(Date.parse(none)).toBeGreaterThan(Date.now())
})

test('CSV has the same numbers, one line per bucket', async () => {
  const query = '/admin/usage?from=2026-03-29T00:00:00Z&to=2026-03-30T00:00:00Z&tz=Europe/Berlin'
  const { items } = await service.read<Usage>(query)
  for (const response of [
    await service.fetch('auditor', `${query}&format=csv`),
    await service.fetch('auditor', query, { headers: { accept: 'text/csv' } }),
    await service.fetch('auditor', query, {
      headers: { accept: 'application/json;q=0, text/csv;q=0.5' },
    }),
  ]) {
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    const [header, ...lines] = (await response.text()).split('\r\n')
    const columns = header!.split(',')
    expect(columns.slice(0, 3)).toEqual(['from', 'to', 'total_requests'])
    expect(lines.pop()).toBe('')
    const rows = lines.map((line) =>
      Object.fromEntries(line.split(',').map((v, i) => [columns[i], v])),
    )
    expect(rows).toEqual(
      items.map((item) => Object.fromEntries(Object.entries(item).map(([k, v]) => [k, String(v)]))),
    )
  }
})

test.each([
  ...['group_id=1&api_key_id=1', 'tz=Nowhere/Else', 'from=2026-01-01T00:05:00Z'],
  ...['from=2026-02-30T00:00:00Z', 'as_of_position=0/99999999'],
  ...['from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z'],
])('%s is refused', async (query) => {
  await expectProblem(await service.fetch('admin', `/admin/usage?${query}`), 400, 'invalid query')
})

test.each(['bucket=week', 'tz=%00', 'group_id=x', 'format=xml'])(
  '%s is refused as malformed',
  async (query) => {
    const response = await service.fetch('admin', `/admin/usage?${query}`)
    await expectProblem(response, 400, 'invalid request')
  },
)
