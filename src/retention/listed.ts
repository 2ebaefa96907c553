import { FLUSH_TYPES } from '../events/flush.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { Problem } from '../proofs/integrity/problem.ts'
import { SegmentError } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import { readIndex } from '../segment-files/open.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import type { ArchivedSegment } from './registry.ts'

/**
 * Checks that a row of the list is that of a segment and of a file that can be read, and that the
 * flushes of the segment are in the database until they have left, and not after that.
 */
export async function checkListed(
  sql: Sql,
  segment: ArchivedSegment,
  store: SegmentStore | null,
): Promise<Problem[]> {
  const problems: Problem[] = []
  const at = `archived_segments ${segment.shard}/${segment.first}`
  const add = (expected: string, found: string) =>
    problems.push({ check: 'archive', at, expected, found })
  const end = await readEnd(sql, segment)
  if (end !== segment.end) add(`the segment that ends at ${end}`, `${segment.end}`)
  const total = await checkFile(segment, store, add)
  const { flushes, hasLeft } = await countFlushes(sql, segment)
  const expected = hasLeft ? 0 : total
  if (total !== null && flushes !== expected) {
    add(`${expected} flushes in the database`, `${flushes}`)
  }
  return problems
}

/** Returns the number of flushes in the file; null if it can't be read. */
async function checkFile(
  segment: ArchivedSegment,
  store: SegmentStore | null,
  add: (expected: string, found: string) => void,
): Promise<number | null> {
  const { shard, first, end, fileName, fileBytes: bytes, indexSha256 } = segment
  if (store === null) {
    add('an archive: set TALLYBOOK_ARCHIVE_URL', 'none')
    return null
  }
  try {
    const file = new CheckedFile(store, fileName)
    const { index } = await readIndex(file, { shard, first, end, bytes, indexSha256 })
    const times = [index.blocks[0]!.first_recorded_at, index.blocks.at(-1)!.last_recorded_at]
    const found = [segment.firstRecordedAt, segment.lastRecordedAt]
    if (`${times}` !== `${found}`) add(`recorded from ${times.join(' to ')}`, found.join(' to '))
    const { ApiKeyStatsFlushed = 0, KeyStatsFlushed = 0 } = index.types
    return ApiKeyStatsFlushed + KeyStatsFlushed
  } catch (error) {
    if (!(error instanceof SegmentError)) throw error
    add('a file that can be read', error.failure.reason)
    return null
  }
}

async function readEnd(sql: Sql, { shard, first }: ArchivedSegment): Promise<number | null> {
  const [row] = await sql<{ end: string }[]>`
    select g.end_position as end
    from segments g
    where g.shard = ${shard} and g.first_position = ${first}`
  return row === undefined ? null : Number(row.end)
}

/** Counts the flushes in the database, at one moment with whether they have left. */
async function countFlushes(
  sql: Sql,
  { shard, first, end }: ArchivedSegment,
): Promise<{ flushes: number; hasLeft: boolean }> {
  const [row] = await sql<{ flushes: number; has_left: boolean }[]>`
    select count(*)::float8 as flushes, exists (
      select from archived_segments a
      where a.shard = ${shard} and a.first_position = ${first} and a.left_at is not null
    ) as has_left
    from events e
    where e.shard = ${shard} and e.position >= ${first} and e.position < ${end}
      and e.type in ${sql(FLUSH_TYPES)}`
  return { flushes: row!.flushes, hasLeft: row!.has_left }
}
