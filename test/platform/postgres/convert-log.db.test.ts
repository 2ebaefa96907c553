import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { migrate } from '../../../src/platform/postgres/migrate.ts'
import { connectAsOwner } from '../../../src/platform/postgres/pool.ts'
import { verifyDatabase } from '../../../src/proofs/integrity/verify.ts'
import { insertEmptyFlushes, insertEventAt, insertFlushes } from '../../support/events.ts'
import { createOldDatabase } from '../../support/old-schema.ts'
import { TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

// A log that is one table becomes the first partition of a log in segments, whatever happens on the
// way; nothing is copied.

/** The newest migration before segments. */
const BEFORE = 35
const EVENTS = 1_000

let database: TestDatabase

beforeEach(async () => {
  database = await createOldDatabase(BEFORE)
})
afterEach(() => database.drop())

const start = async () => {
  const owner = connectAsOwner(database.address)
  await migrate(owner, TEST_SHARDS).finally(() => owner.end())
}

const readBound = async () => {
  const [row] = await database.owner<{ end: string }[]>`
    select pg_get_constraintdef(c.oid) as end from pg_constraint c
    where c.conname = 'events_before_segments'`
  return row?.end ?? null
}

const readFile = async () => {
  const [row] = await database.owner<{ file: string }[]>`
    select pg_relation_filenode(coalesce(to_regclass('events_legacy'), 'events')) as file`
  return row!.file
}

const countEvents = async () => {
  const [row] = await database.owner`select count(*)::integer as count from events`
  return row!.count
}

test('the old table is a partition as it is, and the log goes on in segments behind it', async () => {
  await insertFlushes(database.owner, EVENTS)
  const before = await readFile()
  await start()
  expect(await readFile()).toBe(before)
  expect(await countEvents()).toBe(EVENTS)
  expect(await readBound()).toBeNull()
  const segments = await database.owner<{ shard: number; first: number; end: number }[]>`
    select g.shard, g.first_position::integer as first, g.end_position::integer as end
    from segments g
    order by g.shard, g.first_position`
  const { end } = segments[0]!
  expect(end).toBeGreaterThan(EVENTS + 100_000)
  expect(segments.map(({ shard, first }) => [shard, first])).toEqual(
    Array.from({ length: TEST_SHARDS }, (_, shard) => [
      [shard, 0],
      [shard, end],
    ]).flat(),
  )
  // Behind a gap, as if all positions of the old table had been used.
  await insertEventAt(database.owner, 0, end - 1)
  const service = await startTestService({ database })
  const body = { keys: [{ api_key_id: 1, requests: 1 }] }
  for (const replayed of [null, 'true']) {
    const key = { 'idempotency-key': 'behind' }
    const response = await service.post('/internal/apikey-stats/flush', body, key)
    expect(response.status).toBe(200)
    expect(response.headers.get('idempotency-replayed')).toBe(replayed)
  }
  await service.stop()
})

test('an empty log becomes one of segments alone', async () => {
  await start()
  const legacy = await database.owner`select to_regclass('events_legacy') as legacy`
  expect(legacy[0]!.legacy).toBeNull()
  const fresh = await startTestService()
  const tables = (owner: TestDatabase['owner']) => owner`
    select c.relname, pg_get_expr(c.relpartbound, c.oid) as bound
    from pg_class c
    where c.relnamespace = 'tallybook'::regnamespace
    order by c.relname`
  expect([...(await tables(database.owner))]).toEqual([...(await tables(fresh.database.owner))])
  await fresh.end()
})

test('the verification of a converted log finds no problem', async () => {
  const service = await (async () => {
    await insertEmptyFlushes(database.owner, 0, EVENTS)
    return startTestService({ database })
  })()
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  await service.read('/admin/api-keys/1')
  await service.stop()
  const { signal } = new AbortController()
  const { events, first } = await verifyDatabase(database.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
  expect(events).toBe(EVENTS + 1)
})

describe('the constraint of the old table', () => {
  const lastBound = (end: number) => `CHECK (("position" < ${end}))`

  test('that a killed start has left far enough is used', async () => {
    await insertFlushes(database.owner, EVENTS)
    await database.owner`
      alter table events add constraint events_before_segments check (position < 1280000) not valid`
    expect(await readBound()).toContain('1280000')
    await start()
    const [segment] = await database.owner`
      select max(g.end_position)::integer as end from segments g where g.first_position = 0`
    expect(segment!.end).toBe(1_280_000)
  })

  test('that is too near is moved', async () => {
    await insertFlushes(database.owner, EVENTS)
    await database.owner`
      alter table events add constraint events_before_segments check (position < 1024)`
    expect(await readBound()).toBe(lastBound(1_024))
    await start()
    const [segment] = await database.owner`
      select max(g.end_position)::integer as end from segments g where g.first_position = 0`
    expect(segment!.end).toBeGreaterThan(100_000)
  })
})

test('starts that are killed at any moment convert the log in the end, while it grows', async () => {
  await insertFlushes(database.owner, EVENTS)
  const script = join(import.meta.dir, '../../support/migrate.ts')
  let isOver = false
  let appended = 0
  const append = async () => {
    const owner = connectAsOwner(database.address)
    while (!isOver) {
      await insertEmptyFlushes(owner, 0, 1)
      appended++
    }
    await owner.end()
  }
  const appending = append()
  const args = [JSON.stringify(database.address), String(TEST_SHARDS)]
  let code: number | null = null
  for (let delayMs = 100; code !== 0; delayMs += 20) {
    const child = Bun.spawn([process.execPath, script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), delayMs)
    code = await child.exited
    clearTimeout(timer)
  }
  isOver = true
  await appending
  expect(appended).toBeGreaterThan(0)
  expect(await countEvents()).toBe(EVENTS + appended)
  const [partitions] = await database.owner`
    select count(*)::integer as count from pg_partition_tree('events') t where t.isleaf`
  expect(partitions!.count).toBe(1 + TEST_SHARDS)
})
