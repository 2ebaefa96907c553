import type { Sql } from '../../platform/postgres/pool.ts'
import { treeSizeOf } from './tiles.ts'

/** Maximum events of one statement: about 10 ms of the database's time. */
export const STEP_EVENTS = 2_000

/**
 * Adds leaf hashes to a shard's tiles, and the roots that follow to the levels above, in one
 * bounded step. Returns the number of leaves added.
 */
export async function integrateEvents(
  sql: Sql,
  shard: number,
  limit: number = STEP_EVENTS,
): Promise<number> {
  const [row] = await sql<{ added: number }[]>`
    select integrate_events(${shard}, ${limit}::integer) as added`
  return row!.added
}

/** Returns the shards whose log has events without a leaf. */
export async function readBehind(sql: Sql): Promise<Set<number>> {
  const rows = await sql<{ shard: number }[]>`
    select s.shard
    from shards s
    where (select max(e.position) from events e where e.shard = s.shard) >= ${treeSizeOf(sql)}`
  return new Set(rows.map(({ shard }) => shard))
}
