import { type Sql, type Transaction, transact } from '../../../platform/postgres/pool.ts'
import { toMilliseconds } from '../../../platform/postgres/timestamp.ts'
import type { Report } from '../verify.ts'

/** The advisory lock (an arbitrary number) that an instance holds while it runs a verification. */
export const VERIFICATION_LOCK = 7_365_002

/** A verification that a service ran. Times are RFC 3339. */
export type StoredVerification = {
  id: number
  /** `killed`: its service ended before it did. `failed`: it could not check the database. */
  state: 'running' | 'finished' | 'failed' | 'killed'
  due_at: string | null
  started_at: string
  finished_at: string | null
  positions: string | null
  events: number | null
  problems: number | null
  report: Report | null
}

/** Records that a verification starts; null if one with the same `dueAt` was started before. */
export async function insertVerification(
  sql: Sql,
  dueAt: string | null,
): Promise<{ id: number; started_at: string } | null> {
  return transact(sql, '', async (transaction) => {
    const [row] = await transaction<{ id: string; started_at: string }[]>`
      insert into verifications (due_at, started_at, row_sha256)
      values (${dueAt}::timestamptz, clock_timestamp(), sha256(''))
      on conflict (due_at) do nothing
      returning id, ${timestamp(transaction, 'started_at')}`
    if (!row) return null
    await writeHash(transaction, row.id)
    return { id: Number(row.id), started_at: row.started_at }
  })
}

/** Records how a verification ended. `report` is null if it could not check the database. */
export async function finishVerification(
  sql: Sql,
  id: number,
  report: Report | null,
): Promise<void> {
  await transact(sql, '', async (transaction) => {
    await transaction`
      update verifications v
      set
        finished_at = clock_timestamp(),
        positions = ${report?.positions ?? null}::text,
        events = ${report?.events ?? null}::bigint,
        problems = ${report?.problems ?? null}::integer,
        report = ${report === null ? null : JSON.stringify(report)}::text::json
      where v.id = ${id}`
    await writeHash(transaction, id)
  })
}

type Page = { before: number | null; limit: number }

/** Returns up to `limit` verifications, newest first, with ids below `before` (null: any id). */
export async function listVerifications(sql: Sql, page: Page): Promise<StoredVerification[]> {
  // Locks are read later than rows: one that ends in between has no end and no lock. A second read
  // begins after the lock was released, and so sees an end if there is one.
  for (let checked: number | null = null; ; ) {
    const rows = await readVerifications(sql, page)
    const newest = rows[0]
    if (newest?.state !== 'killed' || newest.id === checked) return rows
    checked = newest.id
  }
}

async function readVerifications(sql: Sql, { before, limit }: Page): Promise<StoredVerification[]> {
  const rows = await sql<VerificationRow[]>`
    select
      v.id,
      case
        when v.report is not null then 'finished'
        when v.finished_at is not null then 'failed'
        when v.id = (select max(n.id) from verifications n) and exists (
          select from pg_locks l
          where l.locktype = 'advisory' and l.granted
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
            and l.classid = 0 and l.objid = ${VERIFICATION_LOCK}::oid and l.objsubid = 1
        ) then 'running'
        else 'killed'
      end as state,
      ${timestamp(sql, 'due_at')}, ${timestamp(sql, 'started_at')},
      ${timestamp(sql, 'finished_at')}, v.positions, v.events, v.problems, v.report
    from verifications v
    where ${before === null ? sql`true` : sql`v.id < ${before}`}
    order by v.id desc
    limit ${limit}`
  return rows.map((row) => ({
    ...row,
    id: Number(row.id),
    events: row.events === null ? null : Number(row.events),
  }))
}

/**
 * Returns the end (Unix seconds) of the newest finished verification, and the problems of the
 * newest that found some or was complete: after a sample without problems they may still be there.
 * Null if there is none.
 */
export async function readNewestFinished(
  sql: Sql,
): Promise<{ id: number; problems: number; finishedAt: number } | null> {
  const [row] = await sql<{ id: number; problems: number; finished_at: number }[]>`
    select v.id::float8 as id, v.problems, (
      select extract(epoch from n.finished_at)::float8
      from verifications n
      where n.problems is not null
      order by n.id desc
      limit 1
    ) as finished_at
    from verifications v
    where v.problems is not null
    order by v.problems = 0 and v.report ->> 'sampled' is not null, v.id desc
    limit 1`
  return row ? { id: row.id, problems: row.problems, finishedAt: row.finished_at } : null
}

type VerificationRow = Omit<StoredVerification, 'id' | 'events'> & {
  id: string
  events: string | null
}

const timestamp = (sql: Sql | Transaction, column: string) =>
  sql.unsafe(`${toMilliseconds(column)} as ${column}`)

async function writeHash(transaction: Transaction, id: number | string): Promise<void> {
  await transaction`
    update verifications v
    set row_sha256 = verification_row_hash(
      v.id, v.due_at, v.started_at, v.finished_at, v.positions, v.events, v.problems, v.report
    )
    where v.id = ${id}`
}
