import type { Sql } from '../platform/postgres/pool.ts'
import { toMilliseconds } from '../platform/postgres/timestamp.ts'

/** How long to keep the row of a killed instance. */
const KEEP_KILLED = '10 minutes'

/** The row that an instance writes about itself. */
export type Self = { id: string; version: string; migration: number; startedAt: string }

/** An instance that runs, or was killed recently. Times are RFC 3339. */
export type InstanceRow = {
  id: string
  version: string
  migration: number
  started_at: string
  seen_at: string
  live: boolean
  /** True if its last heartbeat is more than KEEP_KILLED ago. */
  gone: boolean
}

/** Writes a heartbeat. An instance that was considered gone is back with it. */
export async function writeHeartbeat(sql: Sql, { id, version, migration, startedAt }: Self) {
  await sql`
    insert into instances as i (id, version, migration, started_at, seen_at)
    values (${id}, ${version}, ${migration}, ${startedAt}::timestamptz, clock_timestamp())
    on conflict (id) do update set seen_at = excluded.seen_at`
}

/**
 * Reads all instances, the longest running first. An instance is not live if its last heartbeat is
 * more than `silentAfterMs` ago, by the database's clock. Nor is it live if the heartbeat is that
 * far in the future, from before the clock was set back: a running instance would have sent one
 * since.
 */
export async function readInstances(sql: Sql, silentAfterMs: number): Promise<InstanceRow[]> {
  return await sql<InstanceRow[]>`
    select
      i.id, i.version, i.migration,
      ${sql.unsafe(toMilliseconds('i.started_at'))} as started_at,
      ${sql.unsafe(toMilliseconds('i.seen_at'))} as seen_at,
      i.seen_at between n.now - ${silentAfterMs} * interval '1 ms'
        and n.now + ${silentAfterMs} * interval '1 ms' as live,
      i.seen_at not between n.now - ${KEEP_KILLED}::interval
        and n.now + ${KEEP_KILLED}::interval as gone
    from instances i cross join (select clock_timestamp() as now) n
    order by i.started_at, i.id`
}

/** Deletes an instance's row: the others find it gone at their next poll. */
export async function deleteInstance(sql: Sql, id: string): Promise<void> {
  await sql`delete from instances i where i.id = ${id}`
}

/** Deletes the rows of instances that were killed long ago. */
export async function deleteKilled(sql: Sql, rows: readonly InstanceRow[]): Promise<void> {
  for (const { id, gone } of rows) if (gone) await deleteInstance(sql, id)
}
