import type { Sql } from '../../platform/postgres/pool.ts'
import { treeSizeOf } from './tiles.ts'

/** Events of one statement: some 10 ms of the database's time. */
export const STEP_EVENTS = 2_000

/**
 * Adds leaf hashes to a shard's tiles, and what follows from them to the levels above, in one
 * bounded step; gives how many leaves.
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

/** The shards whose log has events without a leaf. */
export async function readBehind(sql: Sql): Promise<Set<number>> {
  const rows = await sql<{ shard: number }[]>`
    select s.shard
    from shards s
    where (select max(e.position) from events e where e.shard = s.shard) >= ${treeSizeOf(sql)}`
  return new Set(rows.map(({ shard }) => shard))
}
