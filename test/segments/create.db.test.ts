import { afterEach, beforeEach, expect, test } from 'bun:test'
import { readHeads } from '../../src/log/read.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { Segments } from '../../src/segments/create.ts'
import { readPositions, untilWaiting } from '../support/events.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The log consists of segments: they follow each other without a gap, and whatever is appended,
// there is one for it.

/** The smallest segments have 256 positions. */
const SMALLEST = { segmentBytes: 1 }
/** Instances that look for segments only once: an append that finds none has to create it. */
const NEVER_AHEAD = { intervals: { segments: { pollIntervalMs: 3_600_000 } } }

let database: TestDatabase
let services: TestService[]

beforeEach(async () => {
  database = await createDatabase()
  services = []
})
afterEach(async () => {
  for (const service of services) await service.stop()
  await database.drop()
})

async function start(options: Parameters<typeof startTestService>[0] = {}): Promise<TestService> {
  const service = await startTestService({ database, ...SMALLEST, ...options })
  services.push(service)
  return service
}

/** Makes the segment that every database begins with as small as the others. */
async function shrinkFirst(): Promise<void> {
  const { owner } = database
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await owner.unsafe(`
      drop table events_${shard}_0;
      delete from segments where shard = ${shard};
      select create_segment(${shard}, 0, 256)`)
  }
}

/** Posts flushes with the keys `first` to `first + count`, 50 at a time. Returns all statuses. */
async function post(service: TestService, first: number, count: number): Promise<Set<string>> {
  const statuses = new Set<string>()
  let next = first
  const postNext = async () => {
    while (next < first + count) {
      const number = next++
      const send = () =>
        service.post(
          '/internal/apikey-stats/flush',
          { keys: [{ api_key_id: 1, requests: 1 }] },
          { 'idempotency-key': `key-${number}` },
        )
      let response = await send()
      // Creating a segment took too long. Whether it was appended nevertheless is not known.
      const isRepeated = response.status === 503
      while (response.status === 503) response = await send()
      const text = response.status === 200 ? '' : await response.text()
      const replayed = isRepeated ? null : response.headers.get('idempotency-replayed')
      statuses.add(`${response.status} ${replayed}${text}`)
    }
  }
  await Promise.all(Array.from({ length: 50 }, postNext))
  return statuses
}

/** Returns the segments of each shard; fails if they don't follow each other. */
async function readSegments(): Promise<number[]> {
  const rows = await database.owner<{ shard: number; first: number; end: number }[]>`
    select g.shard, g.first_position::integer as first, g.end_position::integer as end
    from segments g
    order by g.shard, g.first_position`
  for (const [i, { shard, first }] of rows.entries()) {
    expect(first).toBe(rows[i - 1]?.shard === shard ? rows[i - 1]!.end : 0)
  }
  return Array.from(
    { length: TEST_SHARDS },
    (_, shard) => rows.filter((row) => row.shard === shard).length,
  )
}

/** Fails if a position is missing, or the verification of the database finds a problem. */
async function expectWhole(): Promise<void> {
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    const positions = await readPositions(database.owner, shard)
    expect(positions).toEqual(positions.map((_, i) => i))
  }
  const { signal } = new AbortController()
  const { first } = await verifyDatabase(database.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
}

test('flushes fill one segment after the other, and retries of all of them are replayed', async () => {
  await shrinkFirst()
  const service = await start(NEVER_AHEAD)
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  const count = 1_200 * TEST_SHARDS
  expect(await post(service, 0, count)).toEqual(new Set(['200 null']))
  expect(Math.min(...(await readSegments()))).toBeGreaterThan(4)
  const heads = await readHeads(database.owner)
  expect(await post(service, 0, count)).toEqual(new Set(['200 true']))
  expect(await readHeads(database.owner)).toEqual(heads)
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  expect(total_requests).toBe(count)
  await expectWhole()
})

test('an empty segment is created before the first event of the newest one is old', async () => {
  await shrinkFirst()
  const service = await start()
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  await post(service, 0, 10 * TEST_SHARDS)
  await until(async () => (await readSegments()).every((segments) => segments === 2))
  await post(service, 10 * TEST_SHARDS, 400 * TEST_SHARDS)
  await until(async () => {
    const segments = await readSegments()
    const heads = await readHeads(database.owner)
    return segments.every((number, shard) => number === Math.floor(heads[shard]! / 256) + 2)
  })
})

test('instances that append at once create each segment once', async () => {
  await shrinkFirst()
  const two = [await start(), await start()]
  await two[0]!.putCatalog({ api_keys: [{ id: 1 }] })
  const count = 600 * TEST_SHARDS
  const statuses = await Promise.all(two.map((service) => post(service, 0, count)))
  expect(statuses.flatMap((found) => [...found])).toContainEqual('200 null')
  for (const found of statuses) expect([...found].every((it) => it.startsWith('200'))).toBe(true)
  const flushes = await database.owner`
    select from events where idempotency_key like 'key-%'`
  expect(flushes).toHaveLength(count)
  await readSegments()
  await expectWhole()
})

test('an append continues behind the newest event, however many segments are empty', async () => {
  await shrinkFirst()
  const { reserve } = new Segments({ ...SMALLEST, address: database.address, sql: database.owner })
  await reserve(0, 1_500)
  const service = await start()
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  expect(await post(service, 0, 40 * TEST_SHARDS)).toEqual(new Set(['200 null']))
  await expectWhole()
})

test('other events wait for a segment that is missing, and are appended on a retry', async () => {
  const service = await start()
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await database.owner.unsafe(`drop table events_${shard}`)
  }
  await database.owner`delete from segments`
  const refused = await service.putCatalog({ api_keys: [{ id: 1 }] })
  expect([200, 503]).toContain(refused.status)
  await database.owner`
    select create_segment(s.shard, 0, 256) from shards s
    where not exists (select from segments g where g.shard = s.shard)`
  await until(async () => (await service.putCatalog({ api_keys: [{ id: 1 }] })).status === 200)
})

test('a session that is killed before its commit leaves nothing of a segment', async () => {
  await shrinkFirst()
  const service = await start(NEVER_AHEAD)
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  const before = await readSegments()
  const blocker = connectAsOwner(database.address)
  const held = await blocker.reserve()
  // The row of the table is the last that is made.
  await held`begin`
  await held`lock table segments in share mode`
  const count = 400 * TEST_SHARDS
  const posted = post(service, 0, count)
  const [pid] = await untilWaiting(database.owner, 1)
  await database.owner`select pg_terminate_backend(${pid!})`
  await held`rollback`
  held.release()
  await blocker.end()
  const statuses = await posted
  expect([...statuses].every((status) => /^(200|503)/.test(status))).toBe(true)
  expect((await post(service, 0, count)).has('200 true')).toBe(true)
  expect(await post(service, 0, count)).toEqual(new Set(['200 true']))
  expect(await readSegments()).not.toEqual(before)
  await expectWhole()
})
