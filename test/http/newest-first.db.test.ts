import { afterAll, beforeAll, expect, test } from 'bun:test'
import { insertEvent } from '../support/events.ts'
import { startTestService, type TestService } from '../support/service.ts'

// GET /audit/events?order=desc: the log backwards, page by page, whatever is appended in between.

type Event = { shard: number; position: number; type: string; source: string; recorded_at: string }
type Page = { items: Event[]; next_before: string | null }

let service: TestService

beforeAll(async () => {
  service = await startTestService()
  await service.putCatalog({ api_keys: [{ id: 1 }], keys: [{ token_hash: 'a' }] })
  await post(40)
  // Events of all shards with the same time, two of them in some shards.
  const last = (await readLog()).at(-1)!.recorded_at
  for (let shard = 0; shard < service.shards; shard++) {
    for (let i = 0; i <= shard % 2; i++) {
      await insertEvent(service.database.owner, { shard, recordedAt: last })
    }
  }
  await post(5)
})

afterAll(() => service.end())

let keys = 0
/** Posts flushes of both kinds, spread over the shards. */
async function post(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const [path, entry] =
      i % 3 === 0
        ? ['/internal/stats/flush', { token_hash: 'a', requests: 1 }]
        : ['/internal/apikey-stats/flush', { api_key_id: 1, requests: 1 }]
    const key = { 'idempotency-key': `key-${keys++}` }
    expect((await service.post(path, { keys: [entry] }, key)).status).toBe(200)
  }
}

/** Reads the log as one range, by time. */
async function readLog(query = 'shard=all'): Promise<Event[]> {
  const headers = { accept: 'application/x-ndjson' }
  const response = await service.fetch('auditor', `/audit/events?${query}`, { headers })
  const lines = (await response.text()).split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line))
}

const readPage = (query: string) => service.read<Page>(`/audit/events?order=desc&${query}`)

/** Reads all pages of a query. `between` runs before each page but the first. */
async function readPages(
  query: string,
  limit: number,
  between: () => Promise<unknown> = async () => {},
): Promise<Event[]> {
  const events: Event[] = []
  let more = ''
  for (;;) {
    const page = await readPage(`${query}&limit=${limit}${more}`)
    expect(page).not.toHaveProperty('next_after')
    expect(page.items.length).toBeLessThanOrEqual(limit)
    events.push(...page.items)
    if (page.next_before === null) return events
    expect(page.items.length).toBeGreaterThan(0)
    more = `&before=${encodeURIComponent(page.next_before)}`
    await between()
  }
}

const nameOf = ({ shard, position }: Event) => `${shard}/${position}`
const shardNumbers = () => Array.from({ length: service.shards }, (_, shard) => shard)

test('all pages of a shard together are the log of the shard backwards', async () => {
  for (const shard of shardNumbers()) {
    const backwards = (await readLog(`shard=${shard}`)).reverse()
    expect(backwards.length).toBeGreaterThan(3)
    for (const limit of [1, 4, backwards.length - 1, backwards.length, 1_000]) {
      expect(await readPages(`shard=${shard}`, limit)).toEqual(backwards)
    }
  }
})

test('all pages of all shards together are the merged log backwards', async () => {
  const backwards = (await readLog()).reverse()
  for (const limit of [1, 3, 7, backwards.length, 1_000]) {
    expect(await readPages('shard=all', limit)).toEqual(backwards)
  }
})

test('the default shard is 0, and order=asc is the order of the log', async () => {
  const log = await readLog('shard=0')
  expect((await readPage('')).items).toEqual(log.toReversed())
  const asc = await service.read<Page>('/audit/events?order=asc')
  expect(asc).toEqual({ items: log, next_after: null } as never)
})

for (const shard of ['0', 'all']) {
  test(`shard=${shard}: events appended between two pages are on no later page`, async () => {
    const backwards = (await readLog(`shard=${shard}`)).reverse()
    let appended = 0
    const events = await readPages(`shard=${shard}`, 6, async () => {
      await post(2)
      for (const number of shardNumbers()) {
        await insertEvent(service.database.owner, { shard: number })
      }
      appended++
    })
    expect(appended).toBeGreaterThan(1)
    expect(events).toEqual(backwards)
  })
}

test('during writes pages contain each event from the first page down once', async () => {
  let isOver = false
  const writer = (async () => {
    while (!isOver) await post(5)
  })()
  try {
    for (const shard of ['0', 'all']) {
      const events = await readPages(`shard=${shard}`, 5)
      for (const number of shard === 'all' ? shardNumbers() : [0]) {
        const positions = events.flatMap((event) =>
          event.shard === number ? [event.position] : [],
        )
        expect(positions).toEqual(positions.map((_, i) => positions.length - 1 - i))
      }
    }
  } finally {
    isOver = true
    await writer
  }
})

test('a shard without matches at first adds no newer ones to later pages', async () => {
  const { owner } = service.database
  const type = 'ProjectionAttested'
  const append = (shard: number) => insertEvent(owner, { shard, type, payload: '{}' })
  for (let i = 0; i < 4; i++) await append(0)
  const query = `shard=all&type=${type}`
  const backwards = (await readLog(query)).reverse()
  expect(backwards).toHaveLength(4)
  const events = await readPages(query, 1, () => append(service.shards - 1))
  expect(events).toEqual(backwards)
})

test('filters leave out the same events as in ascending order', async () => {
  const times = (await readLog()).map(({ recorded_at }) => recorded_at)
  const [from, to] = [times[10]!, times[30]!].map(encodeURIComponent)
  const queries = [
    ...['type=KeyStatsFlushed', 'type=CatalogChanged', 'source=dp', 'source=owner'],
    ...[`from=${from}`, `to=${to}`, `from=${from}&to=${to}`, `type=KeyStatsFlushed&from=${from}`],
  ]
  for (const query of queries) {
    for (const shard of [...shardNumbers(), 'all']) {
      const backwards = (await readLog(`shard=${shard}&${query}`)).reverse()
      expect(await readPages(`shard=${shard}&${query}`, 3)).toEqual(backwards)
    }
    expect((await readLog(`shard=all&${query}`)).length).toBeGreaterThan(0)
  }
  for (const query of ['source=nobody', 'from=2999-01-01T00:00:00Z', 'to=2000-01-01T00:00:00Z']) {
    expect(await readPage(`shard=all&${query}`)).toEqual({ items: [], next_before: null })
  }
})

test('before= bounds a page, in either form; other shards begin at their head', async () => {
  const log = await readLog('shard=0')
  for (const before of ['3', '0/3']) {
    const { items, next_before } = await readPage(`before=${encodeURIComponent(before)}`)
    expect(items).toEqual(log.slice(0, 3).reverse())
    expect(next_before).toBeNull()
  }
  for (const before of ['0', '-1', '0/-1']) {
    expect(await readPage(`before=${encodeURIComponent(before)}`)).toEqual({
      items: [],
      next_before: null,
    })
  }
  expect((await readPage('before=999999999999999&limit=1')).items).toEqual(log.slice(-1))
  const rest = (await readLog()).filter(({ shard, position }) => shard !== 0 || position < 3)
  const given = await readPages(`shard=all&before=${encodeURIComponent('0/3')}`, 1_000)
  expect(given.map(nameOf)).toEqual(rest.reverse().map(nameOf))
})

test('an invalid combination of parameters gets 400', async () => {
  const bad = [
    ...['order=desc&after=1', 'order=desc&after=-1', 'order=desc&shard=all&after=0/1'],
    ...['before=1', 'order=asc&before=1', 'order=DESC', 'order=', 'order=newest'],
    ...['order=desc&before=x', 'order=desc&before=-2', 'order=desc&before=', 'order=desc&limit=0'],
    ...['order=desc&limit=1001', 'order=desc&before=1.5', 'order=desc&before=%00'],
    ...['order=desc&shard=all&before=5', 'order=desc&before=0/1,0/2', 'order=desc&before=1e3'],
    `order=desc&before=${service.shards}/1`,
    `order=desc&shard=${service.shards}`,
  ]
  for (const query of bad) {
    const response = await service.fetch('auditor', `/audit/events?${query}`)
    expect([query, response.status]).toEqual([query, 400])
    expect(await response.json()).toMatchObject({ status: 400, error: expect.any(String) })
  }
})

test('a stream with order= or before= gets 400', async () => {
  for (const accept of ['application/x-ndjson', 'text/event-stream']) {
    for (const query of ['order=desc', 'order=asc', 'before=1', 'order=desc&before=1']) {
      const headers = { accept }
      const response = await service.fetch('auditor', `/audit/events?${query}`, { headers })
      expect([accept, query, response.status]).toEqual([accept, query, 400])
      expect(await response.json()).toMatchObject({ error: 'invalid query' })
    }
  }
})

test('a page ends before it has too many bytes, and no event is lost', async () => {
  const payload = JSON.stringify({ text: 'x'.repeat(7 * 1024 * 1024) })
  for (let i = 0; i < 4; i++) await insertEvent(service.database.owner, { payload })
  for (const shard of ['0', 'all']) {
    const page = await readPage(`shard=${shard}&limit=1000`)
    expect(page.items.filter((event) => event.shard === 0).length).toBeLessThan(4)
    expect(page.next_before).not.toBeNull()
    const events = await readPages(`shard=${shard}`, 1_000)
    expect(events.map(nameOf)).toEqual((await readLog(`shard=${shard}`)).reverse().map(nameOf))
  }
})
