import type { Sql } from '../db/pool.ts'

/** Seconds after which the row of a killed one is taken away. */
const KEPT_S = 600

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
}

/** Says that an instance runs. One that was taken for gone is back with that. */
export async function writeBeat(sql: Sql, { id, version, migration, startedAt }: Self) {
  await sql`
    insert into instances as i (id, version, migration, started_at, seen_at)
    values (${id}, ${version}, ${migration}, ${startedAt}::timestamptz, clock_timestamp())
    on conflict (id) do update set seen_at = excluded.seen_at`
}

/**
 * Those that run, and those that were killed lately, the longest running first. One that was silent
 * for longer than `silentAfterMs`, by the database's clock, isn't live.
 */
export async function readInstances(sql: Sql, silentAfterMs: number): Promise<InstanceRow[]> {
  return await sql<InstanceRow[]>`
    select
      i.id, i.version, i.migration,
      to_char(i.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as started_at,
      to_char(i.seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as seen_at,
      i.seen_at > clock_timestamp() - ${silentAfterMs} * interval '1 ms' as live
    from instances i
    order by i.started_at, i.id`
}

/** Takes an instance's row away: the others find it gone at their next look. */
export async function deleteInstance(sql: Sql, id: string): Promise<void> {
  await sql`delete from instances i where i.id = ${id}`
}

/** Takes away the rows of those that were killed long ago. */
export async function deleteKilled(sql: Sql, rows: readonly InstanceRow[]): Promise<void> {
  const newest = Math.max(...rows.map(({ seen_at }) => Date.parse(seen_at)))
  for (const { id, seen_at } of rows) {
    if (newest - Date.parse(seen_at) > KEPT_S * 1_000) await deleteInstance(sql, id)
  }
}
