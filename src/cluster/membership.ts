import type { Sql } from '../platform/postgres/pool.ts'

/** How long the row of a killed one is kept. */
const KEEP_KILLED = '10 minutes'

/** An instance, as it says itself. */
export type Self = { id: string; version: string; migration: number; startedAt: string }

/** An instance that runs, or was killed a short while ago. Times are RFC 3339. */
export type InstanceRow = {
  id: string
  version: string
  migration: number
  started_at: string
  seen_at: string
  live: boolean
  /** It was killed long ago. */
  gone: boolean
}

/** Says that an instance runs. One that was taken for gone is back with that. */
export async function writeHeartbeat(sql: Sql, { id, version, migration, startedAt }: Self) {
  await sql`
    insert into instances as i (id, version, migration, started_at, seen_at)
    values (${id}, ${version}, ${migration}, ${startedAt}::timestamptz, clock_timestamp())
    on conflict (id) do update set seen_at = excluded.seen_at`
}

/**
 * Those that run, and those that were killed lately, the longest running first. One that was silent
 * for longer than `silentAfterMs`, by the database's clock, isn't live; nor is one that was seen
 * later than now, before that clock was set back: it would have been seen since.
 */
export async function readInstances(sql: Sql, silentAfterMs: number): Promise<InstanceRow[]> {
  return await sql<InstanceRow[]>`
    select
      i.id, i.version, i.migration,
      to_char(i.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as started_at,
      to_char(i.seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as seen_at,
      i.seen_at between n.now - ${silentAfterMs} * interval '1 ms'
        and n.now + ${silentAfterMs} * interval '1 ms' as live,
      i.seen_at not between n.now - ${KEEP_KILLED}::interval
        and n.now + ${KEEP_KILLED}::interval as gone
    from instances i cross join (select clock_timestamp() as now) n
    order by i.started_at, i.id`
}

/** Takes an instance's row away: the others find it gone at their next look. */
export async function deleteInstance(sql: Sql, id: string): Promise<void> {
  await sql`delete from instances i where i.id = ${id}`
}

/** Takes away the rows of those that were killed long ago. */
export async function deleteKilled(sql: Sql, rows: readonly InstanceRow[]): Promise<void> {
  for (const { id, gone } of rows) if (gone) await deleteInstance(sql, id)
}
