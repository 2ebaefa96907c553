import { beforeAll, expect, test } from 'bun:test'
import { encodeApiKeyFlush } from '../../src/events/api-key-flush-payload.ts'
import { insertEvent } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// GET /audit/explain: exactly the flushes that make up a total, by time, with running totals.

type Counts = Record<string, number>
type Item = {
  shard: number
  position: number
  recorded_at: string
  counted: Counts
  running: Counts
}
type Explanation = { total: Counts; before: Counts; items: Item[]; next_after: string | null }

/** An event, and what it adds to the total of each query. */
type Event = { at: string; shard: number; position: number; adds: Map<string, Counts> }

const service = useService()
const events: Event[] = []

beforeAll(async () => {
  const { owner } = service.database
  let at = Date.parse('2026-01-01T00:00:00Z')
  for (let i = 0; i < 300; i++) {
    // Mostly in the same bucket, sometimes a day later: usage then shows which buckets are empty.
    at += i % 50 === 0 ? 86_400_000 : 1_000 + (i % 7)
    const recordedAt = new Date(at).toISOString()
    const shard = i % service.shards
    const isKeys = i % 3 === 2
    const event = isKeys ? keyFlush(i) : apiKeyFlush(i)
    const { adds, payload, version } = event
    const type = isKeys ? 'KeyStatsFlushed' : 'ApiKeyStatsFlushed'
    const position = await insertEvent(owner, { shard, type, version, recordedAt, payload })
    events.push({ at: recordedAt, shard, position, adds })
  }
  await service.putCatalog({
    provider_groups: [{ id: 7 }, { id: 8 }],
    api_keys: [1, 2, 3, 77].map((id) => ({ id, group_id: 7 })),
    keys: [{ token_hash: 'k"1' }, { token_hash: 'k2' }],
  })
})

function apiKeyFlush(i: number) {
  // Key 77 is in few flushes, 3 has no group, 2 is unknown, and some counts look like ids.
  const ids = [1, 3, 2, ...(i % 40 === 1 ? [77] : [])]
  const requests = ids.map((id) => (id === 1 ? 77 : (i % 5) + (id === 77 ? 1 : 0)))
  const group = i % 2 === 0 ? 7 : 8
  const flush = {
    ...{ groups: [group, 0, null, ...(ids.length > 3 ? [group + 10] : [])] },
    ...{ counts: ids.map(() => 1), ids, requests, successes: requests.map((n) => n >> 1) },
  }
  // Some state a time of their own, in the same quarter hour or long before. Their ids are packed.
  const counted_at = Date.parse('2026-01-01T00:00:00Z') / 1_000 + i
  const isTimed = i % 4 === 1
  const version = isTimed ? 4 : 1
  const payload = isTimed ? encodeApiKeyFlush({ ...flush, counted_at }) : JSON.stringify(flush)
  const add = (n: number): Counts => ({ requests: n, success_requests: n >> 1 })
  const inGroup = [requests[0]!, ...(ids.length > 3 ? [requests[3]!] : [])]
  const adds = new Map([
    ['api_key_id=1', add(requests[0]!)],
    [`group_id=${group}`, add(requests[0]!)],
    ['api_key_id=3', add(requests[1]!)],
    ['', { requests: sum(inGroup), success_requests: sum(inGroup.map((n) => n >> 1)) }],
  ])
  if (ids.length > 3) adds.set('api_key_id=77', add(requests[3]!))
  return { payload, version, adds }
}

function keyFlush(i: number) {
  const payload = JSON.stringify({
    ...{ hashes: ['k"1', 'k2', 'k"1'], requests: [1, 2, 0], tokens: [i, 1, 2] },
    ...{ last_accessed_at: [0, 5, 6], quota_tracked: [true, i % 2 ? null : false, false] },
  })
  const adds = new Map([['token_hash=k%221', { requests: 1, tokens: i + 2, quota_used: i }]])
  if (i % 2 === 0) adds.set('token_hash=k2', { requests: 2, tokens: 1, quota_used: 0 })
  return { payload, version: 1, adds }
}

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0)

async function readAll(query: string, limit: number): Promise<Explanation & { pages: number }> {
  const items: Item[] = []
  let first: Explanation | null = null
  let pages = 0
  for (let after = ''; ; ) {
    const page = await service.read<Explanation>(`/audit/explain?limit=${limit}&${query}${after}`)
    expect(page.items.length).toBeLessThanOrEqual(limit)
    expect(page.before).toEqual(items.at(-1)?.running ?? page.before)
    first ??= page
    items.push(...page.items)
    pages++
    if (page.next_after === null) return { ...first, items, next_after: null, pages }
    after = `&after=${page.next_after}`
  }
}

const plus = (a: Counts, b: Counts): Counts =>
  Object.fromEntries(Object.entries(a).map(([name, value]) => [name, value + b[name]!]))

for (const query of [
  ...['', 'api_key_id=1', 'api_key_id=3', 'api_key_id=77', 'api_key_id=2', 'group_id=7'],
  ...['group_id=8', 'group_id=99', 'token_hash=k%221', 'token_hash=k2', 'token_hash=other'],
]) {
  test(`the explanation of "${query}" lists exactly its flushes`, async () => {
    const none: Counts = query.startsWith('token')
      ? { requests: 0, tokens: 0, quota_used: 0 }
      : { requests: 0, success_requests: 0 }
    let running = none
    const expected = events
      .filter(({ adds }) => Object.values(adds.get(query) ?? {}).some((count) => count > 0))
      .map(({ shard, position, adds }) => {
        running = plus(running, adds.get(query)!)
        return { shard, position, counted: adds.get(query)!, running }
      })
    for (const limit of query === 'token_hash=k2' ? [1, 7, 1_000] : [40, 1_000]) {
      const { items, total, before } = await readAll(query, limit)
      const listed = items.map(({ shard, position, counted, running }) => ({
        ...{ shard, position, counted, running },
      }))
      expect(listed).toEqual(expected)
      expect(before).toEqual(none)
      expect(total).toEqual(running)
    }
  })
}

test('a page is full, however many other flushes have a count that looks like the id', async () => {
  const page = await service.read<Explanation>('/audit/explain?api_key_id=77&limit=3')
  expect(page.items).toHaveLength(3)
})

test('the total equals the counters of the admin routes', async () => {
  const { total } = await service.read<Explanation>('/audit/explain?api_key_id=1')
  const key = await service.read<Counts>('/admin/api-keys/1')
  expect([key.total_requests, key.success_requests]).toEqual([
    total.requests,
    total.success_requests,
  ])
  const used = await service.read<Counts>('/admin/keys/k%221')
  const { total: tokens } = await service.read<Explanation>('/audit/explain?token_hash=k%221')
  expect([used.request_count, used.used_tokens, used.quota_used]).toEqual([
    ...[tokens.requests, tokens.tokens, tokens.quota_used],
  ])
})

test('an explanation as of a position ends there', async () => {
  const { items } = await readAll('api_key_id=1', 1_000)
  const middle = items[50]!
  const others = events
    .filter(({ at }) => at <= middle.recorded_at.replace('000+00:00', 'Z'))
    .reduce((heads, { shard, position }) => heads.set(shard, position), new Map<number, number>())
  const asOf = [...others].map(([shard, position]) => `${shard}/${position}`).join(',')
  const then = await readAll(`api_key_id=1&as_of_position=${asOf}`, 1_000)
  expect(then.items).toEqual(items.slice(0, 51))
  expect(then.total).toEqual(middle.running)
})

test.each([
  ['api_key_id=1&group_id=7', 'invalid query'],
  ['after=99/0', 'invalid query'],
  ...['after=7', 'limit=0', 'limit=1001', 'x=1'].map((query) => [query, 'invalid request']),
] as [query: string, error: string][])('%s is refused', async (query, error) => {
  await expectProblem(await service.fetch('auditor', `/audit/explain?${query}`), 400, error)
})
