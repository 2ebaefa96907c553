import { afterAll, beforeAll, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { insertEvent } from '../support/events.ts'
import { isFull } from '../support/full.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { type Happening, History } from './history.ts'

// What keys with a quota period used since it began, now and as of any time, in a log of a whole
// year with every kind of event that counts towards a quota: compared with a naive model.

const history = new History(4711, 600)
let service: TestService

beforeAll(async () => {
  const database = await createDatabase()
  for (const { shard, at, type, version, payload } of history.happenings) {
    const recordedAt = at
    await insertEvent(database.owner, { shard, type, version, recordedAt, payload })
  }
  service = await startTestService({ database })
})

afterAll(() => service.end())

type Row = { token_hash: string; quota_used: number; quota_period?: string } & Bounds
type Bounds = { quota_period_start?: string; quota_resets_at?: string }
type Page = { items: Row[]; next_cursor: string | null }

const toShown = ({ token_hash, quota_used, quota_period_start, quota_resets_at }: Row) => ({
  ...{ token_hash, quota_used },
  ...(quota_period_start && { quota_period_start, quota_resets_at }),
})

/** Reads all pages of the list of keys. */
async function list(query: string): Promise<ReturnType<typeof toShown>[]> {
  const rows: Row[] = []
  for (let next = ''; ; ) {
    const page = await service.read<Page>(`/admin/keys?limit=4${query}${next}`)
    rows.push(...page.items)
    if (page.next_cursor === null) return rows.map(toShown)
    next = `&cursor=${page.next_cursor}`
  }
}

const byUsed = (a: { quota_used: number; token_hash: string }, b: typeof a) =>
  b.quota_used - a.quota_used || (a.token_hash < b.token_hash ? 1 : -1)

/** Lists are read as of the time of one event in so many. */
const STEP = isFull ? 23 : 53

/** The times of some events, and the moments around the ends of some periods. */
const moments = [
  ...history.happenings.filter((_, i) => i % STEP === 5).map(({ at }) => at),
  ...['2026-02-28T23:59:59.999999Z', '2026-03-01T00:00:00Z', '2026-03-29T00:59:59Z'],
  ...['2026-03-29T22:00:00Z', '2026-07-05T18:14:59Z', '2026-07-05T18:15:00Z'],
]

test('the model has resets, reversals and openings in and before the periods that are read', () => {
  expect(Math.min(...Object.values(history.seen))).toBeGreaterThan(5)
})

test('lists and rows as of any time show what the period had used until then', async () => {
  for (const moment of moments) {
    const expected = history.rowsAt(moment)
    const query = `&as_of=${encodeURIComponent(moment)}`
    expect({ moment, rows: await list(query) }).toEqual({ moment, rows: expected })
    const sorted = expected.toSorted(byUsed)
    expect({ moment, rows: await list(`&sort=-quota_used${query}`) }).toEqual({
      ...{ moment, rows: sorted },
    })
    const { token_hash } = expected[moment.length % expected.length]!
    const row = await service.read<Row>(`/admin/keys/${token_hash}?${query.slice(1)}`)
    expect(toShown(row)).toEqual(expected.find((one) => one.token_hash === token_hash)!)
  }
})

test('as of a position, the period is that of the newest event', async () => {
  const positions = Array.from({ length: TEST_SHARDS }, () => -1)
  for (const [i, { shard, at }] of history.happenings.entries()) {
    positions[shard]!++
    if (i % 37 !== 20) continue
    const query = positions.map((position, n) => `${n}/${position}`).join(',')
    expect(await list(`&as_of_position=${query}`)).toEqual(history.rowsAt(at))
  }
})

test('now, the period is the current one', async () => {
  const expected = history.rowsAt(new Date().toISOString())
  expect(await list('')).toEqual(expected)
  expect(await list('&sort=-quota_used')).toEqual(expected.toSorted(byUsed))
  expect(await list('&sort=quota_used')).toEqual(expected.toSorted(byUsed).reverse())
  for (const { token_hash } of expected) {
    const row = toShown(await service.read<Row>(`/admin/keys/${token_hash}`))
    expect(row).toEqual(expected.find((one) => one.token_hash === token_hash)!)
  }
})

test('the projections are those of the log', async () => {
  const { owner, address } = service.database
  const last = (type: Happening['type'] | null) =>
    history.happenings
      .filter(({ shard }) => shard === 0)
      .findLastIndex((one) => (type === null ? one.isAct : one.type === type))
  const [change] = await owner<{ payload_sha256: Buffer }[]>`
    select e.payload_sha256
    from events e
    where e.shard = 0 and e.position = ${last('CatalogChanged')}`
  await owner`
    update shards
    set catalog_position = ${last('CatalogChanged')}, catalog_sha256 = ${change!.payload_sha256}`
  await owner`update shards s set act_position = ${last(null)} where s.shard = 0`
  const signal = new AbortController().signal
  const { first } = await verifyDatabase(address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
})
