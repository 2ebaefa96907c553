import { beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { insertEvent, insertEvents, positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// The log as auditors read it: every event once, in order and unchanged.

type Event = {
  shard: number
  position: number
  type: string
  version: number
  recorded_at: string
  source: string
  idempotency_key: string | null
  payload_sha256: string
  payload: unknown
}
type Page = { items: Event[]; next_after: string | null }

/** White space, an escape, an order and a number that no serializer would reproduce. */
const ODD_PAYLOAD =
  '{ "quota_tracked":[true],"hashes" : ["\\u0061\u00e9"], "requests":[1e2],\n"tokens":[0.0], "last_accessed_at":[0]}'

const service = useService()

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }, { id: 2 }],
    keys: [{ token_hash: 'a', quota_limit: 5 }],
  })
  // Each has a key of its own, so that they are spread over all shards.
  for (let i = 0; i < 40; i++) {
    const [path, entry] =
      i % 3 === 0
        ? ['/internal/stats/flush', { token_hash: 'a', requests: i }]
        : ['/internal/apikey-stats/flush', { api_key_id: 1, requests: i }]
    await service.post(path, { keys: [entry] }, { 'idempotency-key': `key-${i}` })
  }
  for (let shard = 0; shard < service.shards; shard++) {
    await insertEvent(service.database.owner, { shard, payload: ODD_PAYLOAD })
  }
})

/** Reads all pages of a query, starting after the position `from`. */
async function listPages(query: string, limit: number, from: string | null): Promise<Event[][]> {
  const pages: Event[][] = []
  for (let after = from; ; ) {
    const more = after === null ? '' : `&after=${encodeURIComponent(after)}`
    const page: Page = await service.read(`/audit/events?${query}&limit=${limit}${more}`)
    expect(page.items.length).toBeLessThanOrEqual(limit)
    pages.push(page.items)
    after = page.next_after
    if (after === null) return pages
    expect(page.items.length).toBeGreaterThan(0)
  }
}

const readPages = async (query: string, limit: number) =>
  (await listPages(query, limit, null)).flat()

/** Reads the log from its table, in the form that auditors get. */
async function readLog(): Promise<Event[]> {
  const rows = await service.database.owner<(Event & { payload: string })[]>`
    select shard, position::integer as position, type, version,
      to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as recorded_at,
      source, idempotency_key, encode(payload_sha256, 'hex') as payload_sha256,
      payload::text as payload
    from events
    order by shard, position`
  return rows.map((row) => ({ ...row, payload: JSON.parse(row.payload) }))
}

const nameOf = ({ shard, position }: Event) => `${shard}/${position}`

test('pages of a shard contain every event once, in the order of the log', async () => {
  const log = await readLog()
  for (let shard = 0; shard < service.shards; shard++) {
    const own = log.filter((event) => event.shard === shard)
    expect(own.length).toBeGreaterThan(3)
    for (const limit of [1, 4, own.length, 1_000]) {
      expect(await readPages(`shard=${shard}`, limit)).toEqual(own)
    }
  }
})

test('the default is the first hundred events of shard 0', async () => {
  const own = (await readLog()).filter(({ shard }) => shard === 0)
  expect(await service.read<Page>('/audit/events')).toEqual({ items: own, next_after: null })
})

test('after= continues after a position, in either form', async () => {
  const own = (await readLog()).filter(({ shard }) => shard === 0)
  for (const after of ['1', '0/1']) {
    const { items } = await service.read<Page>(`/audit/events?after=${encodeURIComponent(after)}`)
    expect(items).toEqual(own.slice(2))
  }
  expect((await service.read<Page>('/audit/events?after=-1')).items).toEqual(own)
  expect((await service.read<Page>('/audit/events?after=999999')).items).toEqual([])
})

test('shard=all contains every event of all shards once, by time', async () => {
  const log = await readLog()
  for (const limit of [1, 3, 7, 1_000]) {
    const events = await readPages('shard=all', limit)
    expect(events.map(nameOf).sort()).toEqual(log.map(nameOf).sort())
    const times = events.map(({ recorded_at }) => recorded_at)
    expect(times).toEqual(times.toSorted())
    for (let shard = 0; shard < service.shards; shard++) {
      const positions = events.filter((event) => event.shard === shard)
      expect(positions.map(({ position }) => position)).toEqual(positions.map((_, i) => i))
    }
  }
})

describe('filters', () => {
  /** Compares the filtered pages of each shard, and of all, with a filter over the whole log. */
  async function expectFiltered(
    query: string,
    matches: (event: Event) => boolean,
  ): Promise<number> {
    const matching = (await readLog()).filter(matches)
    for (let shard = 0; shard < service.shards; shard++) {
      const own = matching.filter((event) => event.shard === shard)
      expect(await readPages(`shard=${shard}&${query}`, 3)).toEqual(own)
    }
    const all = await readPages(`shard=all&${query}`, 3)
    expect(all.map(nameOf).sort()).toEqual(matching.map(nameOf).sort())
    return matching.length
  }

  test('type', async () => {
    for (const type of ['ApiKeyStatsFlushed', 'KeyStatsFlushed', 'CatalogChanged']) {
      const matching = await expectFiltered(`type=${type}`, (event) => event.type === type)
      expect(matching).toBeGreaterThan(0)
    }
  })

  test('source', async () => {
    for (const source of ['dp', 'admin', 'owner', 'nobody']) {
      const matching = await expectFiltered(`source=${source}`, (event) => event.source === source)
      expect(matching > 0).toBe(source !== 'nobody')
    }
  })

  test('from and to, half open, with any zone', async () => {
    const times = (await readLog()).map(({ recorded_at }) => recorded_at).sort()
    const from = times[10]!
    const to = times[30]!
    const inZone = (time: string) => {
      const shifted = new Date(Date.parse(time) + 2 * 3_600_000).toISOString().slice(0, 19)
      return `${shifted}${time.slice(19, 26)}+02:00`
    }
    for (const spell of [(time: string) => time, inZone]) {
      const query = `from=${encodeURIComponent(spell(from))}&to=${encodeURIComponent(spell(to))}`
      const matching = await expectFiltered(
        query,
        ({ recorded_at }) => recorded_at >= from && recorded_at < to,
      )
      expect(matching).toBeGreaterThan(0)
    }
    await expectFiltered(`from=2999-01-01T00:00:00Z`, () => false)
    await expectFiltered(`to=2000-01-01T00:00:00Z`, () => false)
    await expectFiltered(`from=2000-01-01T00:00:00Z&to=2999-01-01T00:00:00Z`, () => true)
  })

  test('all of them together', async () => {
    const from = (await readLog()).map(({ recorded_at }) => recorded_at).sort()[5]!
    await expectFiltered(
      `type=KeyStatsFlushed&source=dp&from=${encodeURIComponent(from)}`,
      ({ type, source, recorded_at }) =>
        type === 'KeyStatsFlushed' && source === 'dp' && recorded_at >= from,
    )
  })
})

test('an invalid query gets 400 and an unknown event 404', async () => {
  const malformed = [
    ...['shard=some', 'shard=-1', 'type=Nothing', 'limit=0', 'after=x', 'after=-2', 'nonsense=1'],
    ...['from=yesterday', 'from=2026-01-01', 'source=%00'],
  ]
  const senseless = [
    ...[`shard=${service.shards}`, 'limit=1001', 'shard=all&after=5'],
    ...[`shard=all&after=${service.shards}/0`, 'from=2026-02-30T00:00:00Z'],
    ...['from=2026-13-01T00:00:00Z', 'to=2026-01-01T25:00:00Z', 'to=2026-01-01T00:61:00Z'],
    ...['from=0000-01-01T00:00:00Z', 'from=2026-01-01T00:00:00%2B99:00'],
  ]
  for (const query of malformed) {
    const response = await service.fetch('admin', `/audit/events?${query}`)
    await expectProblem(response, 400, 'invalid request')
  }
  for (const query of senseless) {
    const response = await service.fetch('admin', `/audit/events?${query}`)
    await expectProblem(response, 400, 'invalid query')
  }
  const status = async (event: string) =>
    (await service.fetch('auditor', `/audit/events/${event}`)).status
  expect(await status('0/999999')).toBe(404)
  expect(await status(`${service.shards}/0`)).toBe(404)
  for (const event of ['x/0', '0/x', '0/1.5', '-1/0']) expect(await status(event)).toBe(400)
})

test('a single event is that of the list, with its entries as rows', async () => {
  for (const event of await readLog()) {
    const { entries, ...rest } = await service.read<Event & { entries: object[] | null }>(
      `/audit/events/${nameOf(event)}`,
    )
    expect(rest).toEqual(event)
    if (event.type === 'CatalogChanged') expect(entries).toBeNull()
    else expect(entries).toHaveLength(1)
  }
})

test('the rows of a flush show how each entry was attributed', async () => {
  const entry = (id: number) => ({ api_key_id: id, requests: id, success_requests: 1 })
  const keyEntry = { requests: 1, tokens: 2, last_accessed_at: 3 }
  const rowsOf = async (response: Response) =>
    (await service.read<{ entries: object[] }>(`/audit/events/${positionOf(response)}`)).entries
  const keys = [entry(1), entry(777), entry(2)]
  expect(
    (await rowsOf(await service.post('/internal/apikey-stats/flush', { keys }))).toSorted(
      (a, b) => (a as (typeof keys)[0]).api_key_id - (b as (typeof keys)[0]).api_key_id,
    ),
  ).toEqual([
    { ...entry(1), group_id: 1 },
    { ...entry(2), group_id: 0 },
    { ...entry(777), group_id: null },
  ])
  const hashes = [
    { token_hash: 'a', ...keyEntry },
    { token_hash: 'unknown', ...keyEntry },
  ]
  expect(await rowsOf(await service.post('/internal/stats/flush', { keys: hashes }))).toEqual([
    { ...hashes[0], quota_tracked: true },
    { ...hashes[1], quota_tracked: null },
  ])
})

test('a payload is returned unchanged and has the hash of its event', async () => {
  const rows = await service.database.owner<{ name: string; payload: string }[]>`
    select shard || '/' || position as name, payload::text as payload from events`
  expect(rows.some(({ payload }) => payload === ODD_PAYLOAD)).toBeTrue()
  for (const { name, payload } of rows) {
    const text = await (await service.fetch('auditor', `/audit/events/${name}`)).text()
    expect(text).toContain(`"payload":${payload},"entries":`)
    const hash = createHash('sha256').update(payload).digest('hex')
    expect(text).toContain(`"payload_sha256":"${hash}"`)
  }
  const list = await (await service.fetch('auditor', '/audit/events?shard=all')).text()
  expect(list).toContain(`"payload":${ODD_PAYLOAD}}`)
})

test('a page ends before it has too many bytes, and no event is lost', async () => {
  const hash = 'x'.repeat(7 * 1024 * 1024)
  const payload = JSON.stringify({
    hashes: [hash],
    requests: [1],
    tokens: [1],
    last_accessed_at: [1],
    quota_tracked: [null],
  })
  const { owner } = service.database
  const first = await insertEvents(owner, Array<string>(4).fill(payload))
  // Later than those: they must be on later pages than the rest of shard 0.
  for (let shard = 1; shard < service.shards; shard++) {
    await insertEvent(owner, { shard, recordedAt: '2100-01-01T00:00:00Z' })
  }
  for (const shard of ['0', 'all']) {
    const pages = await listPages(`shard=${shard}`, 1_000, `0/${first - 1}`)
    expect(pages[0]!.filter((event) => event.shard === 0).length).toBeLessThan(4)
    expect(pages.length).toBeGreaterThan(1)
    const events = pages.flat()
    const times = events.map(({ recorded_at }) => recorded_at)
    expect(times).toEqual(times.toSorted())
    const rows = await owner<{ name: string }[]>`
      select e.shard || '/' || e.position as name from events e
      where e.shard = 0 and e.position >= ${first} or e.shard > 0 and ${shard === 'all'}`
    expect(events.map(nameOf).sort()).toEqual(rows.map(({ name }) => name).sort())
  }
})
