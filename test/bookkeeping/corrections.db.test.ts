import { beforeAll, describe, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// Opening balances, adjustments and reversals: entries in the log, which totals, usage, reads of
// the past and explanations reflect.

const FLUSH = '/internal/apikey-stats/flush'
const BALANCES = '/admin/balances'
const CORRECTIONS = '/admin/corrections'

const service = useService()

type Rated = { total_requests: number; success_requests: number }
type Usage = { items: (Rated & { from: string })[]; total: Rated }
type Step = { shard: number; position: number; type: string } & Record<
  'counted' | 'running',
  { requests: number }
>

beforeAll(() =>
  service.putCatalog({
    provider_groups: [{ id: 1 }, { id: 2 }],
    api_keys: [1, 2, 3, 4, 5, 6].map((id) => ({ id, group_id: id % 2 })),
    keys: ['a', 'b', 'c'].map((token_hash) => ({ token_hash, quota_limit: 1_000 })),
  }),
)

const flush = async (id: number, requests: number, success_requests = requests) =>
  positionOf(await service.post(FLUSH, { keys: [{ api_key_id: id, requests, success_requests }] }))

const totals = async (id: number, query = '') => {
  const row = await service.read<Rated>(`/admin/api-keys/${id}${query}`)
  return [row.total_requests, row.success_requests]
}
const group = async (query = '') =>
  (await service.read<Rated>(`/admin/provider-groups/1${query}`)).total_requests
const used = async (id: number, query = '') =>
  (await service.read<Usage>(`/admin/usage?api_key_id=${id}${query}`)).total.total_requests
const heads = async () => positionOf(await service.fetch('admin', '/admin/apikey-stats/summary'))

const post = (path: string, body: unknown, key: string | null = null) =>
  service.fetch('admin', path, {
    method: 'POST',
    headers: key === null ? {} : { 'idempotency-key': key },
    body: JSON.stringify(body),
  })
const open = (rows: object, key: string) =>
  post(BALANCES, { as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' }, ...rows }, key)
const reverse = (position: string, key: string | null = null) =>
  post(CORRECTIONS, { reverse: position, reason: 'posted twice' }, key)
const adjust = (rows: object) => post(CORRECTIONS, { adjust: rows, reason: 'counted by hand' })

describe('a reversed flush', () => {
  test('is taken back from totals, groups and its hour, and stays in the past', async () => {
    const before = { group: await group(), totals: await totals(1), used: await used(1) }
    const position = await flush(1, 10, 9)
    const counted = await heads()
    const shown = await service.fetch('admin', '/admin/usage?api_key_id=1')
    const response = await reverse(position)
    expect(response.status).toBe(201)
    const body = (await response.json()) as { position: string; reversed: string }
    expect(body).toEqual({ position: positionOf(response), reversed: position })
    expect({ group: await group(), totals: await totals(1), used: await used(1) }).toEqual(before)
    // As of before, everything is as it was shown then.
    const past = `as_of_position=${counted}`
    expect(await totals(1, `?${past}`)).toEqual([before.totals[0]! + 10, before.totals[1]! + 9])
    expect(await group(`?${past}`)).toBe(before.group + 10)
    expect(await used(1, `&${past}`)).toBe(before.used + 10)
    const again = await service.fetch('admin', `/admin/usage?api_key_id=1&${past}`)
    expect(await again.json()).toEqual(await shown.json())
    // And as of after, too.
    expect(await used(1, `&as_of_position=${await heads()}`)).toBe(before.used)
  })

  test('cannot be reversed again, and a reversal cannot be reversed', async () => {
    const position = await flush(1, 3)
    const { position: reversal } = (await (await reverse(position)).json()) as { position: string }
    const again = await reverse(position)
    expect(again.status).toBe(409)
    expect(await again.json()).toMatchObject({
      error: 'already reversed',
      detail: expect.stringContaining(reversal),
    })
    await expectProblem(await reverse(reversal), 422, 'counts nothing')
  })

  test('of token keys gives back requests, tokens and quota, but not the last access', async () => {
    const keys = [{ token_hash: 'a', requests: 2, tokens: 30, last_accessed_at: 1_700_000_000 }]
    const posted = await service.post('/internal/stats/flush', { keys })
    const before = await service.read<object>('/admin/keys/a')
    expect(before).toMatchObject({ request_count: 2, used_tokens: 30, quota_used: 30 })
    expect((await reverse(positionOf(posted))).status).toBe(201)
    expect(await service.read<object>('/admin/keys/a')).toEqual({
      ...before,
      request_count: 0,
      used_tokens: 0,
      quota_used: 0,
    })
  })

  test('that counted nothing is refused', async () => {
    const position = await flush(99, 5)
    await expectProblem(await reverse(position), 422, 'counts nothing')
  })

  test('is explained where it was recorded, with what it took back', async () => {
    const position = await flush(2, 7)
    const reversal = positionOf(await reverse(position))
    const { items } = await service.read<{ items: Step[] }>('/audit/explain?api_key_id=2')
    const found = items.map(({ shard, position, type, counted, running }) => [
      ...[`${shard}/${position}`, type, counted.requests, running.requests],
    ])
    expect(found).toEqual([
      [position, 'ApiKeyStatsFlushed', 7, 7],
      [reversal, 'EventReversed', -7, 0],
    ])
    const event = await service.read<{ entries: unknown[] }>(`/audit/events/${reversal}`)
    expect(event.entries).toContainEqual({
      ...{ provider_group_id: null, api_key_id: 2, token_hash: null },
      ...{ requests: -7, success_requests: -7, tokens: null, quota_used: null },
      last_accessed_at: null,
    })
  })
})

describe('opening balances', () => {
  test('are part of totals, but of no hour of usage', async () => {
    const rows = {
      provider_groups: [{ id: 2, total_requests: 1_000, success_requests: 990 }],
      api_keys: [{ id: 4, total_requests: 1_000, success_requests: 990 }],
      keys: [
        {
          ...{ token_hash: 'b', request_count: 3, used_tokens: 50, quota_used: 40 },
          last_accessed_at: 1_700_000_000,
        },
      ],
    }
    const before = await heads()
    const response = await open(rows, 'opened')
    expect(response.status).toBe(201)
    expect(await response.json()).toEqual({
      position: positionOf(response),
      ...{ provider_groups: 1, api_keys: 1, keys: 1 },
    })
    expect(await totals(4)).toEqual([1_000, 990])
    expect(await service.read<Rated>('/admin/provider-groups/2')).toMatchObject({
      total_requests: 1_000,
      failure_requests: 10,
    })
    expect(await service.read<object>('/admin/keys/b')).toMatchObject({
      ...{ request_count: 3, used_tokens: 50, quota_used: 40 },
      last_accessed_at: '2023-11-14T22:13:20+00:00',
    })
    expect(await used(4)).toBe(0)
    expect(await used(4, `&as_of_position=${await heads()}`)).toBe(0)
    expect(await totals(4, `?as_of_position=${before}`)).toEqual([0, 0])
  })

  test('are opened once, until they are reversed', async () => {
    const rows = { api_keys: [{ id: 5, total_requests: 10, success_requests: 5 }] }
    const first = await open(rows, 'once')
    await expectProblem(await open(rows, 'twice'), 409, 'already open')
    const position = positionOf(first)
    expect((await reverse(position)).status).toBe(201)
    expect(await totals(5)).toEqual([0, 0])
    expect((await open(rows, 'thrice')).status).toBe(201)
    expect(await totals(5)).toEqual([10, 5])
    await expectProblem(await open(rows, 'again'), 409, 'already open')
  })

  test('of rows that are not in the catalog are refused as a whole; retired rows are in it', async () => {
    await service.fetch('admin', '/admin/api-keys/6', { method: 'DELETE' })
    const row = { total_requests: 1, success_requests: 1 }
    const mixed = {
      api_keys: [
        { id: 6, ...row },
        { id: 77, ...row },
      ],
    }
    await expectProblem(await open(mixed, 'mixed'), 422, 'unknown accounts')
    expect((await open({ api_keys: [{ id: 6, ...row }] }, 'retired')).status).toBe(201)
  })

  test('answer a retry with the first answer, and another request with 422', async () => {
    const rows = { keys: [{ token_hash: 'c', request_count: 1, used_tokens: 2, quota_used: 0 }] }
    const first = await open(rows, 'retried')
    const retry = await open(rows, 'retried')
    expect([retry.status, retry.headers.get('idempotency-replayed')]).toEqual([201, 'true'])
    expect(await retry.json()).toEqual(await first.json())
    const other = { keys: [{ ...rows.keys[0]!, used_tokens: 3 }] }
    await expectProblem(await open(other, 'retried'), 422, 'idempotency key reused')
    await expectProblem(await reverse('0/0', 'retried'), 422, 'idempotency key reused')
  })
})

describe('an adjustment', () => {
  test('changes totals, but no hour of usage, and can be reversed', async () => {
    await flush(3, 10)
    const before = { totals: await totals(3), used: await used(3), group: await group() }
    const response = await adjust({
      api_keys: [{ id: 3, total_requests: -4, success_requests: -5 }],
      provider_groups: [{ id: 1, total_requests: -4, success_requests: -5 }],
    })
    expect(response.status).toBe(201)
    expect(await totals(3)).toEqual([before.totals[0]! - 4, before.totals[1]! - 5])
    expect(await group()).toBe(before.group - 4)
    expect(await used(3)).toBe(before.used)
    expect((await reverse(positionOf(response))).status).toBe(201)
    expect({ totals: await totals(3), used: await used(3), group: await group() }).toEqual(before)
  })

  test.each([
    ['requests below zero', { total_requests: -1_000_000, success_requests: -1_000_000 }],
    ['successes above requests', { total_requests: 0, success_requests: 1 }],
    ['successes below zero', { total_requests: 0, success_requests: -1_000_000 }],
  ])('that would leave %s is refused', async (_, difference) => {
    const before = await totals(3)
    const refused = await adjust({ api_keys: [{ id: 3, ...difference }] })
    await expectProblem(refused, 409, 'total out of range')
    expect(await totals(3)).toEqual(before)
  })

  test('forbids a reversal of which nothing is left', async () => {
    const position = await flush(3, 50)
    const left = (await totals(3))[0]! - 20
    const difference = { id: 3, total_requests: -left, success_requests: -left }
    expect((await adjust({ api_keys: [difference] })).status).toBe(201)
    await expectProblem(await reverse(position), 409, 'total out of range')
  })
})

test('the reversal of an event is found by the position of the event', async () => {
  const position = await flush(1, 1)
  const path = `${CORRECTIONS}?reversed=${position}`
  expect(await service.read<object>(path)).toEqual({ items: [], next_cursor: null })
  const reversal = positionOf(await reverse(position))
  expect(await service.read<object>(path)).toMatchObject({
    items: [{ position: reversal, reversed: position }],
  })
})

test('corrections are listed, the newest first, in pages', async () => {
  type Page = { items: { position: string; reversed: string | null }[]; next_cursor: string | null }
  const all = await service.read<Page>(`${CORRECTIONS}?limit=1000`)
  expect(all.items.length).toBeGreaterThan(5)
  expect(all.items.some(({ reversed }) => reversed === null)).toBe(true)
  const listed: unknown[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Page = await service.read<Page>(
      `${CORRECTIONS}?limit=2&sort=position${cursor && `&cursor=${cursor}`}`,
    )
    listed.push(...page.items)
    cursor = page.next_cursor
  }
  expect(listed.toReversed()).toEqual(all.items)
})

test('only admins correct, and auditors see it', async () => {
  for (const role of ['dp', 'auditor'] as const) {
    for (const path of [BALANCES, CORRECTIONS]) {
      expect((await service.fetch(role, path, { method: 'POST', body: '{}' })).status).toBe(403)
    }
  }
  expect((await service.fetch('auditor', CORRECTIONS)).status).toBe(200)
})
