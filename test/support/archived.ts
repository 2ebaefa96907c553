import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readHead } from '../../src/log/read.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../src/proofs/transparency/integrate.ts'
import { leaveSegment, markLeaving } from '../../src/retention/leave.ts'
import type { ArchiveOptions } from '../../src/retention/open.ts'
import { writeSegment } from '../../src/retention/write.ts'
import { openStore } from '../../src/segment-files/open-store.ts'
import { packShard } from '../../src/segments/packing.ts'
import { TEST_INTERVALS } from './intervals.ts'
import type { TestDatabase } from './server.ts'
import { until } from './until.ts'

/** An archive in a temporary folder. */
export async function makeArchive(): Promise<ArchiveOptions & { remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-archive-'))
  const segments = join(folder, 'segments')
  // As an operator would mount it: the store creates no folder for itself.
  await mkdir(segments)
  const url = pathToFileURL(segments).href
  return {
    url,
    ...{ keepDays: null, cacheFolder: join(folder, 'cache'), cacheBytes: 2 ** 26 },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Gives a database with an empty log segments of so many positions. */
export async function useSmallSegments(
  { owner }: TestDatabase,
  shards: number,
  positions = 64,
  segments = 40,
): Promise<void> {
  for (let shard = 0; shard < shards; shard++) {
    await owner.unsafe(`
      drop table events_${shard}_0;
      delete from segments where shard = ${shard};
      select create_segment(${shard}, n * ${positions}, ${positions})
      from generate_series(0, ${segments - 1}) n`)
  }
}

/** Moves all full segments of a shard to the archive. Returns how many there are. */
export async function archiveFull(
  database: TestDatabase,
  shard: number,
  archive: ArchiveOptions,
): Promise<number> {
  const firsts = await markFull(database, shard, archive)
  // By then every service reads them from the archive, whatever it knew before.
  await Bun.sleep(4 * TEST_INTERVALS.archive.refreshMs)
  for (const first of firsts) await until(() => leaveSegment(database.owner, shard, first, 0))
  return firsts.length
}

/**
 * Writes all full segments of a shard to the archive, and marks them: they can leave. Returns their
 * first positions.
 */
export async function markFull(
  { owner, address }: TestDatabase,
  shard: number,
  { url }: ArchiveOptions,
): Promise<number[]> {
  await packShard(owner, address, shard)
  while ((await integrateEvents(owner, shard)) > 0);
  const head = await readHead(owner, shard)
  // A service with an archive may have written some.
  const full = await owner<{ first: string; end: string; is_written: boolean }[]>`
    select g.first_position as first, g.end_position as end, a.shard is not null as is_written
    from segments g
      left join archived_segments a
        on a.shard = g.shard and a.first_position = g.first_position
    where g.shard = ${shard} and g.end_position <= ${head} and a.left_at is null
    order by g.first_position`
  const pools = openPools(address, 1)
  try {
    const options = { sql: pools.read, owner, store: openStore(url!), head: null }
    for (const row of full) {
      const [first, end] = [Number(row.first), Number(row.end)]
      if (!row.is_written) {
        const result = await writeSegment({ shard, first, end }, options)
        if (result.kind !== 'written') throw new Error(result.failure.reason)
      }
      await markLeaving(owner, shard, first)
    }
  } finally {
    await pools.close()
  }
  return full.map(({ first }) => Number(first))
}
