import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { importTestArchive, useFolder, writeTestArchive } from '../support/archive.ts'
import { insertFlushes, readKeyIndex, readPositions } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'

// An archive that is larger than a segment is imported into several.

const folder = useFolder()
/** The smallest segments have 256 positions. */
const SMALLEST = 1

/** Creates a database of one shard whose first segment is as small as the others. */
async function createSmall(): Promise<TestDatabase> {
  const database = await createDatabase({ shards: 1 })
  await database.owner.unsafe(`
    drop table events_0_0;
    delete from segments;
    select create_segment(0, 0, 256)`)
  return database
}

async function archive(name: string, fill: (database: TestDatabase) => Promise<unknown>) {
  const database = await createDatabase({ shards: 1 })
  await fill(database)
  const path = join(folder.path, name)
  await writeTestArchive(database, path)
  await database.drop()
  return path
}

test('an import creates the segments that it needs', async () => {
  const path = await archive('large', ({ owner }) => insertFlushes(owner, 700))
  const target = await createSmall()
  expect(await importTestArchive(target, path, SMALLEST)).toBeNull()
  expect(await readPositions(target.owner)).toEqual(Array.from({ length: 700 }, (_, i) => i))
  const segments = await target.owner`select from segments`
  expect(segments).toHaveLength(3)
  await target.drop()
})

test('an import finds a key that is repeated in another segment', async () => {
  const path = await archive('repeated', async ({ owner }) => {
    await insertFlushes(owner, 500)
    await owner`drop index ${owner(await readKeyIndex(owner))}`
    await owner`
      insert into events (
        shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
      )
      select 0, 500, e.type, e.version, clock_timestamp(), e.source, e.idempotency_key, e.payload,
        e.payload_sha256
      from events e
      where e.position = 7`
  })
  const target = await createSmall()
  expect(await importTestArchive(target, path, SMALLEST)).toContain(
    'same source and idempotency key',
  )
  expect(await readPositions(target.owner)).toEqual([])
  await target.drop()
})
