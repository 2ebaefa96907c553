import { afterEach, beforeEach, expect, test } from 'bun:test'
import { connectAsOwner, inSnapshot, type Sql } from '../../src/platform/postgres/pool.ts'
import { leaveSegment } from '../../src/retention/leave.ts'
import { readArchived } from '../../src/retention/registry.ts'
import { restoreSegment } from '../../src/retention/restore.ts'
import { openStore } from '../../src/segment-files/open-store.ts'
import { archiveFull, makeArchive, markFull, useSmallSegments } from '../support/archived.ts'
import { insertEvent, insertFlushes } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { until } from '../support/until.ts'

// A transaction that reads in one snapshot finds every event that stays in the database, whenever
// tables are exchanged in the meantime.

let archive: Awaited<ReturnType<typeof makeArchive>>
let database: TestDatabase
let reader: Sql

beforeEach(async () => {
  archive = await makeArchive()
  database = await createDatabase({ shards: 1 })
  reader = connectAsOwner(database.address)
  await useSmallSegments(database, 1)
  await insertFlushes(database.owner, 30)
  await insertEvent(database.owner, { type: 'TotalsAdjusted', payload: '{"a":1}' })
  await insertFlushes(database.owner, 170)
})
afterEach(async () => {
  await reader.end()
  await database.drop()
  await archive.remove()
})

/** Begins a snapshot, and counts acts in it when `between` is done. Null if that returns false. */
const countActs = (between: () => Promise<unknown>) =>
  inSnapshot(reader, async (transaction) => {
    await transaction`select from shards`
    if ((await between()) === false) return null
    const [row] = await transaction<{ acts: number }[]>`
      select count(*)::integer as acts from events e where e.type = 'TotalsAdjusted'`
    return row!.acts
  })

test('acts are found by a snapshot that is older than the exchange', async () => {
  await markFull(database, 0, archive)
  // A transaction in any database of the server can make a snapshot look older than it is.
  expect(await until(() => countActs(() => leaveSegment(database.owner, 0, 0, 0)))).toBe(1)
})

test('nothing is exchanged while a snapshot is older than the table that comes', async () => {
  const acts = await countActs(async () => {
    await markFull(database, 0, archive)
    expect(await leaveSegment(database.owner, 0, 0, 0)).toBe(false)
  })
  expect(acts).toBe(1)
})

test('a segment comes back when no snapshot is older than its table', async () => {
  await archiveFull(database, 0, archive)
  const [first] = await readArchived(database.owner)
  const store = openStore(archive.url!)
  let restored = Promise.resolve<unknown>(null)
  const acts = await countActs(async () => {
    restored = restoreSegment(database.owner, store, first!, new AbortController().signal)
    await until(async () => {
      const [row] =
        await database.owner`select to_regclass('events_0_0_restored') is not null as made`
      return row!.made
    })
  })
  expect(acts).toBe(1)
  expect(await restored).toEqual({ kind: 'restored' })
  expect(await countActs(async () => {})).toBe(1)
})
