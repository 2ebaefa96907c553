import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readEvent, readHead } from '../../src/log/read.ts'
import { visitEvents } from '../../src/log/visit.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import {
  type ArchiveOptions,
  NO_ARCHIVE,
  type OpenedArchive,
  openArchive,
} from '../../src/retention/open.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { insertFlushes } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'

// Reads that don't know that events have left the database refuse to answer without them.

const folder = await makeArchive()
let database: TestDatabase
const opened: { pools: Pools; archive: OpenedArchive }[] = []

function open(options: ArchiveOptions = folder): Pools {
  const pools = openPools(database.address, 1)
  opened.push({ pools, archive: openArchive(database.address, pools, options) })
  return pools
}

beforeAll(async () => {
  database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  await insertFlushes(database.owner, 300)
})

afterAll(async () => {
  for (const { pools, archive } of opened) {
    await archive.close()
    await pools.close()
  }
  await database.drop()
  await folder.remove()
})

async function visitAll(pools: Pools): Promise<number[]> {
  const positions: number[] = []
  const visit = ({ position }: { position: number }) => void positions.push(position)
  await visitEvents(pools.read, { shard: 0, after: -1 }, 1_000, visit)
  return positions
}

const ALL = Array.from({ length: 300 }, (_, i) => i)

test('a read that was decided before events left the database finds out, and refuses', async () => {
  const stale = open()
  expect(await visitAll(stale)).toEqual(ALL)
  const head = await readHead(database.owner, 0)
  expect(await archiveFull(database, 0, folder)).toBe(Math.floor(head / 64))
  await expect(visitAll(stale)).rejects.toThrow('log changed')
  // It has learned where they are.
  expect(await visitAll(stale)).toEqual(ALL)
  expect(await visitAll(open())).toEqual(ALL)
})

test('without the archive, what has left is refused and the rest is read', async () => {
  const pools = open(NO_ARCHIVE)
  await expect(visitAll(pools)).rejects.toThrow('archive unavailable')
  await expect(readEvent(pools.read, 0, 5)).rejects.toThrow('archive unavailable')
  expect((await readEvent(pools.read, 0, 299))?.position).toBe(299)
})

test('a log from which an event was deleted is read as it is', async () => {
  await database.owner.begin(async (transaction) => {
    await transaction`set local session_replication_role = replica`
    await transaction`delete from events where shard = 0 and position = 280`
  })
  expect(await visitAll(open())).toEqual(ALL.filter((position) => position !== 280))
})
