import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import {
  readEvent,
  readIdentity,
  readLeafEvents,
  readRecordedAt,
  selectEvents,
} from '../../src/log/read.ts'
import { visitEvents } from '../../src/log/visit.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { type OpenedArchive, openArchive } from '../../src/retention/open.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { insertFlushes } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'

// Reads of the log as it is don't load what has left the database: here nobody may do that.

const folder = await makeArchive()
const LIMITS = { rows: 1_000, bytes: 2 ** 30 }
let database: TestDatabase
let pools: Pools
let archive: OpenedArchive
let before: Awaited<ReturnType<typeof readAll>>

beforeAll(async () => {
  database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  await insertFlushes(database.owner, 300)
  pools = openPools(database.address, 1)
  before = await readAll()
  archive = openArchive(database.address, pools, folder)
  expect(await archiveFull(database, 0, folder)).toBe(4)
  await database.owner.unsafe(`
    do $$
    begin
      execute format(
        'revoke temporary on database %I from public, tallybook_service', current_database()
      );
    end
    $$`)
})

afterAll(async () => {
  await archive.close()
  await pools.close()
  await database.drop()
  await folder.remove()
})

/** Sizes are those of the store, and differ by a few bytes. */
const withoutSize = ({ payloadBytes: _, ...event }: StoredEvent) => event

async function readAll() {
  const sql = pools.read
  const page = async (newestFirst: boolean, filter = {}, rows = 1_000) => {
    const range = { shard: 0, after: 3, through: 200, newestFirst }
    return (await selectEvents(sql, range, { ...LIMITS, rows }, filter)).map(withoutSize)
  }
  const event = await readEvent(sql, 0, 70)
  const time = event!.recordedAt
  const visited: unknown[] = []
  await visitEvents(sql, { shard: 0, after: -1 }, 250, ({ position, payload, payloadSha256 }) => {
    visited.push([position, Buffer.from(payload!).toString(), payloadSha256])
  })
  const pages = [await page(false), await page(true), await page(true, {}, 9)]
  for (const filter of [
    ...[{ type: 'CatalogChanged' }, { type: event!.type }, { source: event!.source }],
    ...[{ source: 'nobody' }, { from: time }, { to: time }, { from: time, to: time }],
  ]) {
    pages.push(await page(false, filter), await page(true, filter, 20))
  }
  return {
    ...{ event: withoutSize(event!), pages, visited },
    leaves: await readLeafEvents(sql, 0, 10, 200),
    identity: await readIdentity(sql, 0, 71),
    recordedAt: await readRecordedAt(sql, 0, 72),
    none: [await readEvent(sql, 0, 300), await readIdentity(sql, 0, -1)],
  }
}

test('they return what they returned before', async () => {
  expect(await readAll()).toEqual(before)
})

test('a statement with a condition needs to load', async () => {
  const sql = pools.read
  const conditional = visitEvents(sql, { shard: 0, after: -1 }, 9, () => {}, false, sql`true`)
  await expect(conditional).rejects.toThrow('permission denied')
})

test('what a read asks of an event is the same in a page as alone', async () => {
  const [found] = await selectEvents(pools.read, { shard: 0, after: 70 }, { ...LIMITS, rows: 1 })
  expect(found).toEqual((await readEvent(pools.read, 0, 71))!)
})
