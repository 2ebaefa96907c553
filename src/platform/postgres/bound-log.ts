import { readPlacement } from './citus/distribute.ts'
import { lockTables } from './lock-tables.ts'
import { type Sql, type Transaction, transact } from './pool.ts'

/** The number of the migration that makes the log consist of segments. */
export const SEGMENTS_MIGRATION = 36

/** Positions that the table keeps free at least, beyond the newest event of any shard. */
const MIN_FREE = 100_000
/** How long (s) appends at the present rate may go on, at least and at best. */
const MIN_S = 3_600
const BEST_S = 7 * 86_400
/** Events by which the present rate is measured, and the shortest time (s) that they count for. */
const SAMPLE = 100_000
const MIN_SAMPLE_S = 10

/**
 * Prepares a log that is one table for the migration that attaches it as a partition: adds the
 * constraint that all its positions are below an end, and validates it, so that attaching need not
 * read the table. Adding takes a lock for a moment, and validating one that delays no append.
 *
 * No append may reach the end before the migration: it would fail. So the end is a week of appends
 * away, unless the log is younger, and an hour at least. If the migration doesn't happen, the
 * constraint stays; the next start moves its end. Does nothing if the log is empty, or on Citus.
 */
export async function boundLog(owner: Sql, advisoryLock: number, lockMs: number): Promise<void> {
  if ((await readPlacement(owner)) !== 'no citus') return
  await transact(owner, '', async (transaction) => {
    await transaction`select pg_advisory_xact_lock(${advisoryLock})`
    const end = await chooseEnd(transaction)
    if (end === null) return
    await lockTables(transaction, ['events'], lockMs)
    await transaction.unsafe(`
      alter table events
        drop constraint if exists events_before_segments,
        add constraint events_before_segments check (position < ${end}) not valid`)
  })
  await transact(owner, '', async (transaction) => {
    await transaction`select pg_advisory_xact_lock(${advisoryLock})`
    if ((await readEnd(transaction)) === null) return
    await transaction.unsafe('alter table events validate constraint events_before_segments')
  })
}

/** Returns where the table should end, or null if its constraint says so already, or needs none. */
async function chooseEnd(transaction: Transaction): Promise<string | null> {
  const [table] = await transaction<{ is_table: boolean }[]>`
    select coalesce((
      select c.relkind = 'r' from pg_class c where c.oid = to_regclass('events')
    ), false) as is_table`
  if (!table!.is_table) return null
  const rows = await transaction<{ head: string; seconds: number | null }[]>`
    select h.head, (
      select extract(epoch from l.recorded_at - f.recorded_at)::float8
      from events f
        join events l on l.shard = s.shard and l.position = h.head
      where f.shard = s.shard and f.position = greatest(h.head - ${SAMPLE}::integer, 0)
    ) as seconds
    from shards s
      cross join lateral (
        select max(e.position) as head from events e where e.shard = s.shard
      ) h
    where h.head is not null`
  if (rows.length === 0) return null
  const ends = rows.map(({ head, seconds }) => endOf(Number(head), seconds ?? 0))
  const current = await readEnd(transaction)
  const isFarEnough = current !== null && ends.every(({ least }) => current >= least)
  return isFarEnough ? null : String(Math.max(...ends.map(({ best }) => best)))
}

/** Returns the nearest end and the best one for a shard whose newest events took `seconds`. */
function endOf(head: number, seconds: number): { least: number; best: number } {
  const perSecond = Math.min(head, SAMPLE) / Math.max(seconds, MIN_SAMPLE_S)
  const least = Math.max(MIN_FREE, MIN_S * perSecond)
  const best = Math.max(least, Math.min(BEST_S * perSecond, head))
  // A constraint that is found again has less room than when it was made. Tiles have 256 leaves.
  return { least: head + least / 2, best: Math.ceil((head + best + 1) / 256) * 256 }
}

/** Returns the end that the constraint states, or null if there is none. */
async function readEnd(transaction: Transaction): Promise<number | null> {
  const [row] = await transaction<{ end: string }[]>`
    select substring(pg_get_constraintdef(c.oid) from '[0-9]+') as end
    from pg_constraint c
    where c.conrelid = to_regclass('events') and c.conname = 'events_before_segments'`
  return row === undefined ? null : Number(row.end)
}
