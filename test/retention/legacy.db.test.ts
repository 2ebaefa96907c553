import { afterEach, beforeEach, expect, test } from 'bun:test'
import { readOld } from '../../src/retention/archive.ts'
import { leaveSegment } from '../../src/retention/leave.ts'
import { readArchived } from '../../src/retention/registry.ts'
import { restoreSegment } from '../../src/retention/restore.ts'
import { openStore } from '../../src/segment-files/open-store.ts'
import { makeArchive, markFull } from '../support/archived.ts'
import { insertEmptyFlushes } from '../support/events.ts'
import { createDatabaseOf, type TestDatabase } from '../support/server.ts'
import { until } from '../support/until.ts'

// The first segments of a log that was one table are in one partition: they leave together, and
// come back one by one.

let archive: Awaited<ReturnType<typeof makeArchive>>
let database: TestDatabase

beforeEach(async () => {
  archive = await makeArchive()
  database = await createDatabaseOf(2)
  await database.owner.unsafe(`
    delete from segments;
    drop table events_0_0, events_1_0;
    alter table events detach partition events_segments;
    create table events_legacy (like events including all);
    alter table events attach partition events_legacy for values from (minvalue) to (64);
    alter table events attach partition events_segments for values from (64) to (maxvalue);
    insert into segments (shard, first_position, end_position, packed_through)
    values (0, 0, 64, -1), (1, 0, 64, -1);
    select create_segment(shard, 64, 64) from shards`)
  for (const shard of [0, 1]) await insertEmptyFlushes(database.owner, shard, 100)
})
afterEach(async () => {
  await database.drop()
  await archive.remove()
})

async function countFlushes(): Promise<number[]> {
  const rows = await database.owner<{ events: number }[]>`
    select s.shard, (select count(*) from events e where e.shard = s.shard)::integer as events
    from shards s
    order by s.shard`
  return rows.map(({ events }) => events)
}

const leave = (shard: number) => leaveSegment(database.owner, shard, 0, 0)

test('they leave when all of them are marked, come back alone, and leave again', async () => {
  expect(await markFull(database, 0, archive)).toEqual([0])
  expect(await leave(0)).toBe(false)
  expect(await markFull(database, 1, archive)).toEqual([0])
  await until(() => leave(1))
  expect(await countFlushes()).toEqual([36, 36])
  const [first] = await readArchived(database.owner)
  const { signal } = new AbortController()
  await restoreSegment(database.owner, openStore(archive.url!), first!, signal)
  expect(await countFlushes()).toEqual([100, 36])
  await database.owner`select mark_leaving(0, 0)`
  await until(() => leave(0))
  expect(await countFlushes()).toEqual([36, 36])
})

test('they are marked when all of them are old', async () => {
  const { owner } = database
  await owner`update checkpoints set position = 99`
  for (const shard of [0, 1]) {
    await markFull(database, shard, archive)
    await owner`
      update archived_segments
      set leaving_at = null, last_recorded_at = last_recorded_at - interval '2 days'
      where shard = ${shard}`
    expect(await readOld(owner, 1)).toHaveLength(shard === 0 ? 0 : 2)
  }
})
