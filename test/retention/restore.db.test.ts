import { afterEach, beforeEach, expect, test } from 'bun:test'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toEventLine } from '../../src/events/event-line.ts'
import { selectEvents } from '../../src/log/read.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { leaveSegment, markLeaving } from '../../src/retention/leave.ts'
import { type ArchivedSegment, readArchived } from '../../src/retention/registry.ts'
import { restoreSegment } from '../../src/retention/restore.ts'
import { openStore } from '../../src/segment-files/open-store.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { insertEvent, insertFlushes } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { until } from '../support/until.ts'

// Segments come back from the archive as they were, or not at all.

let archive: Awaited<ReturnType<typeof makeArchive>>
let database: TestDatabase

beforeEach(async () => {
  archive = await makeArchive()
  database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  await insertFlushes(database.owner, 30)
  await insertEvent(database.owner, { type: 'TotalsAdjusted', payload: '{"a":1}' })
  await insertFlushes(database.owner, 170)
})
afterEach(async () => {
  await database.drop()
  await archive.remove()
})

async function readLines(): Promise<string[]> {
  const pools = openPools(database.address, 1)
  try {
    const range = { shard: 0, after: -1, through: 1_000 }
    const events = await selectEvents(pools.read, range, { rows: 1_000, bytes: 2 ** 30 })
    return events.map((event) => toEventLine(event))
  } finally {
    await pools.close()
  }
}

const restore = (segment: ArchivedSegment) =>
  restoreSegment(database.owner, openStore(archive.url!), segment, new AbortController().signal)

const readIndexes = async () =>
  database.owner<{ table: string; columns: string }[]>`
    select c.relname as table, pg_get_indexdef(x.indexrelid, 1, true) as columns
    from pg_index x
      join pg_class c on c.oid = x.indrelid
    where c.relname = 'events_0_64' and x.indisvalid
    order by 2, x.indpred is null`

test('every segment comes back as it was, in any order', async () => {
  const before = await readLines()
  const indexes = await readIndexes()
  expect(await archiveFull(database, 0, archive)).toBe(3)
  const thin = await readLines()
  // Acts stay.
  expect(thin.length).toBe(1 + before.length - 3 * 64)
  const segments = await readArchived(database.owner)
  for (const segment of [segments[1]!, segments[0]!, segments[2]!]) {
    expect(await restore(segment)).toEqual({ kind: 'restored' })
  }
  expect(await readLines()).toEqual(before)
  // The index of keys is not needed: they are packed.
  expect((await readIndexes()).length).toBe(indexes.length - 1)
  expect((await readArchived(database.owner)).map(({ leavingAt }) => leavingAt)).toEqual([
    null,
    null,
    null,
  ])
})

test('a segment that came back can leave again, and come back', async () => {
  const before = await readLines()
  await archiveFull(database, 0, archive)
  for (let round = 0; round < 2; round++) {
    const [first] = await readArchived(database.owner)
    expect(await restore(first!)).toEqual({ kind: 'restored' })
    expect((await readLines()).slice(0, 64)).toEqual(before.slice(0, 64))
    await markLeaving(database.owner, 0, 0)
    await until(() => leaveSegment(database.owner, 0, 0, 0))
  }
})

test('nothing changes if the file was changed', async () => {
  await archiveFull(database, 0, archive)
  const thin = await readLines()
  const [first] = await readArchived(database.owner)
  await writeFile(join(fileURLToPath(archive.url!), first!.fileName), 'not a segment')
  expect(await restore(first!)).toMatchObject({ kind: 'failed' })
  expect(await readLines()).toEqual(thin)
})

test('an event can be neither changed nor deleted in a segment that came back', async () => {
  await archiveFull(database, 0, archive)
  const [first] = await readArchived(database.owner)
  await restore(first!)
  const { owner } = database
  for (const statement of [
    'delete from events where position = 3',
    "update events set payload = '{}' where position = 3",
    'truncate events_0_0',
  ]) {
    await expect(owner.unsafe(statement).execute()).rejects.toThrow('events are immutable')
  }
})
