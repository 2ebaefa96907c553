import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { openPeriods } from '../../src/quota/open-periods.ts'
import { usage } from '../../src/read-model/projections/usage.ts'
import { rebuild } from '../../src/read-model/rebuild/rebuild.ts'
import { makeRandom } from '../faults/random.ts'
import { positionOf } from '../support/events.ts'
import { isFull } from '../support/full.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { useInstances } from '../support/service.ts'

// What keys with a quota period used is kept per key, and reads of the present take it from there.
// Reads of the past add up usage instead, so both must show the same at the same position.

// These tests say when periods are opened.
const intervals = { ...TEST_INTERVALS, quota: { pollIntervalMs: 3_600_000 } }
const [service, other] = useInstances({ intervals })
let pools: Pools

beforeAll(() => {
  pools = openPools(service.database.address, TEST_SHARDS)
})
afterAll(() => pools.close())

const SHARDS = Array.from({ length: TEST_SHARDS }, (_, shard) => shard)
const KINDS = [
  {},
  { quota_period: 'day' },
  { quota_period: 'day', quota_tz: 'Pacific/Kiritimati' },
  { quota_period: 'week', quota_tz: 'Asia/Kathmandu' },
  { quota_period: 'month', quota_tz: 'Europe/Berlin' },
]
const LIST = '/admin/keys?limit=1000&ended=true&sort=-quota_used'
const STEPS = isFull ? 80 : 25
const random = makeRandom(2_022)
let made = 0

type Row = { token_hash: string; quota_used: number }
type Page = { items: Row[]; next_cursor: string | null }

const put = (token_hash: string, kind: object) =>
  service.putCatalog({ keys: [{ token_hash, quota_limit: 1_000, quota_period: 'none', ...kind }] })
const makeKey = async (kind: object) => {
  const hash = `key-${++made}`
  await put(hash, kind)
  return hash
}
/** Posts a flush, which was counted so many seconds ago. */
const flush = async (token_hash: string, tokens: number, secondsAgo = 0, on = service) => {
  const counted_at = Math.floor(Date.now() / 1_000) - secondsAgo
  return positionOf(
    await on.post('/internal/stats/flush', {
      ...(secondsAgo > 0 && { counted_at }),
      keys: [{ token_hash, requests: 1, tokens }],
    }),
  )
}
const correct = (body: object) => service.act('/admin/corrections', { reason: 'test', ...body })
const adjust = (token_hash: string, quota_used: number) =>
  correct({ adjust: { keys: [{ token_hash, request_count: 0, used_tokens: 0, quota_used }] } })

/** Makes the rows of all shards, of the catalog as it is now. */
const openAll = async () => {
  await service.read(LIST)
  await Promise.all(SHARDS.map((shard) => openPeriods(pools.project, shard)))
}

/** Reads the list now and in the past, and expects the same. Returns what the keys used. */
async function compare(on = service): Promise<Map<string, number>> {
  const response = await on.fetch('admin', LIST)
  const { items } = (await response.json()) as Page
  const past = await on.read<Page>(`${LIST}&as_of_position=${positionOf(response)}`)
  expect(items).toEqual(past.items)
  return new Map(items.map(({ token_hash, quota_used }) => [token_hash, quota_used]))
}

/** Counts the rows, and the shards in which reads take them. */
async function countRows() {
  const [row] = await service.database.owner<{ rows: number; shards: number }[]>`
    select
      (select count(*)::integer from key_period_usage) as rows,
      (
        select count(*)::integer
        from checkpoints c
          join projections p on p.projection = c.projection and p.generation = c.generation
        where c.projection = 'usage' and c.periods_position = c.position
      ) as shards`
  return row!
}

beforeEach(async () => {
  const { items } = await service.read<Page>(LIST)
  for (const { token_hash } of items) await put(token_hash, {})
  await openAll()
  expect(await countRows()).toEqual({ rows: 0, shards: 0 })
})

test('whatever counts, before and after its period is opened, is in what a key used', async () => {
  const hashes: string[] = []
  for (const kind of KINDS) hashes.push(await makeKey(kind), await makeKey(kind))
  const places: string[] = []
  for (let step = 0; step < STEPS; step++) {
    const hash = random.pick(hashes)
    const on = random.pick([service, other])
    const dice = random.below(12)
    if (dice < 3) places.push(await flush(hash, random.below(100), 0, on))
    else if (dice < 5) places.push(await flush(hash, random.below(100), random.below(800_000), on))
    else if (dice === 5) places.push(await adjust(hash, random.below(200)))
    else if (dice === 6) await service.act(`/admin/keys/${hash}/quota-reset`, { reason: 'test' })
    else if (dice === 7) await put(hash, random.pick(KINDS))
    else if (dice === 8) await service.fetch('admin', `/admin/keys/${hash}`, { method: 'DELETE' })
    else if (dice === 9 && places.length > 0) {
      await correct({ reverse: places.splice(random.below(places.length), 1)[0] })
    } else if (dice === 10) {
      const unknown = `key-${++made}`
      await flush(unknown, 7, random.pick([0, 400_000]))
      const adopted = { token_hash: unknown, quota_limit: 1_000, ...random.pick(KINDS) }
      const body = JSON.stringify({ keys: [adopted] })
      await service.fetch('admin', '/admin/unknown-keys/adopt', { method: 'POST', body })
      hashes.push(unknown)
    } else {
      await service.act('/admin/balances', {
        as_of: new Date(Date.now() - random.below(3) * 86_400_000).toISOString(),
        origin: { system: 'old' },
        keys: [
          {
            token_hash: await makeKey(random.pick(KINDS)),
            request_count: 1,
            used_tokens: 20,
            quota_used: 20,
          },
        ],
      })
    }
    if (random.chance(0.5)) await openAll()
    await compare(on)
  }
  expect(new Set((await compare()).values()).size).toBeGreaterThan(5)
})

test('reads take the rows, once every shard has them', async () => {
  const hash = await makeKey({ quota_period: 'month' })
  await flush(hash, 10)
  await compare()
  expect(await countRows()).toEqual({ rows: 0, shards: 0 })
  await openAll()
  await flush(hash, 5, 0, other)
  expect((await compare(other)).get(hash)).toBe(15)
  expect(await countRows()).toEqual({ rows: TEST_SHARDS, shards: TEST_SHARDS })
  const { owner } = service.database
  await owner`update key_period_usage set quota_used = quota_used + 1 where shard = 0`
  expect((await service.read<Row>(`/admin/keys/${hash}`)).quota_used).toBe(16)
  const exhausted = async () => {
    const response = await service.fetch('dp', '/internal/quota/exhausted')
    return ((await response.json()) as Page).items.find(({ token_hash }) => token_hash === hash)
  }
  await put(hash, { quota_limit: 16, quota_period: 'month' })
  expect(await exhausted()).toMatchObject({ quota_used: 16 })
  await owner`delete from key_period_usage where shard = ${TEST_SHARDS - 1}`
  expect((await service.read<Row>(`/admin/keys/${hash}`)).quota_used).toBe(15)
  expect(await exhausted()).toBeUndefined()
})

test('a row of another period is not used, and is replaced', async () => {
  const hash = await makeKey({ quota_period: 'day' })
  await flush(hash, 10)
  await openAll()
  await service.database.owner`
    update key_period_usage set start = '2020-01-01', quota_used = 4000`
  await flush(hash, 3)
  expect((await compare()).get(hash)).toBe(13)
  await openAll()
  expect((await compare()).get(hash)).toBe(13)
  const rows = await service.database.owner`
    select from key_period_usage where start < now() - interval '1 day'`
  expect(rows).toHaveLength(0)
})

test('rows that an older release did not add to are not used, and are replaced', async () => {
  const hash = await makeKey({ quota_period: 'week' })
  await flush(hash, 10)
  await compare()
  await openAll()
  // It folds usage and leaves the rows as they are.
  await service.database.owner`
    update checkpoints set periods_position = position - 1 where periods_position is not null`
  await service.database.owner`update key_period_usage set quota_used = 2`
  expect((await compare()).get(hash)).toBe(10)
  await flush(hash, 3)
  expect((await compare(other)).get(hash)).toBe(13)
  await openAll()
  expect(await countRows()).toEqual({ rows: TEST_SHARDS, shards: TEST_SHARDS })
  expect((await compare()).get(hash)).toBe(13)
})

test('after a rebuild of usage the rows are made again', async () => {
  const hash = await makeKey({ quota_period: 'month' })
  await flush(hash, 10)
  await openAll()
  await compare()
  await rebuild({
    ...{ owner: service.database.owner, project: pools.project, projections: [usage] },
    ...{ signal: new AbortController().signal, onProgress: () => {} },
  })
  expect((await compare()).get(hash)).toBe(10)
  expect(await countRows()).toMatchObject({ shards: 0 })
  await openAll()
  expect(await countRows()).toEqual({ rows: TEST_SHARDS, shards: TEST_SHARDS })
  await flush(hash, 3)
  expect((await compare()).get(hash)).toBe(13)
})

test('there are no rows while no key has a period', async () => {
  const hash = await makeKey({ quota_period: 'month' })
  await openAll()
  expect((await countRows()).rows).toBe(TEST_SHARDS)
  await put(hash, {})
  await compare()
  await openAll()
  expect(await countRows()).toEqual({ rows: 0, shards: 0 })
})

test('flushes that arrive while periods are opened count once', async () => {
  const hashes: string[] = []
  for (const kind of KINDS) hashes.push(await makeKey(kind))
  const { owner } = service.database
  for (let round = 0; round < 5; round++) {
    await Promise.all([
      ...hashes.flatMap((hash) => [flush(hash, 1), flush(hash, 2, 1_000, other)]),
      ...[openAll(), openAll(), service.read(LIST), other.read(LIST)],
      ...(round % 2 === 1 ? [owner`update checkpoints set periods_position = null`] : []),
    ])
  }
  await openAll()
  const used = await compare()
  expect(used.get(hashes[0]!)).toBe(15)
})
