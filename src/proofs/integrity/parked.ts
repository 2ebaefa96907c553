import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/**
 * The events that are parked are those that can't be read, for the same reason, as far as the shard
 * was folded; in the snapshot of `sql`.
 */
export async function checkParked(
  sql: Transaction,
  shard: number,
  folded: number,
): Promise<Problem[]> {
  const rows = await sql<{ position: string; expected: string | null; found: string | null }[]>`
    select position, u.reason as expected, p.reason as found
    from (
      select * from unreadable u
      where u.shard = ${shard} and u.position <= ${folded} and u.reason is not null
    ) u
      full join (
        select * from parked_events p where p.shard = ${shard}
      ) p using (position)
    where u.reason is distinct from p.reason
    order by position
    limit ${MAX_PROBLEMS}`
  return rows.map(({ position, expected, found }) => ({
    check: 'parked',
    at: `${shard}/${position}`,
    expected: expected === null ? 'not parked' : `parked: ${expected}`,
    found: found === null ? 'not parked' : `parked: ${found}`,
  }))
}

/** Parked events of shards that aren't there. */
export async function checkParkedShards(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ shard: number; position: string; reason: string }[]>`
    select p.shard, p.position, p.reason
    from parked_events p
    where p.shard not in (select s.shard from shards s)
    order by p.shard, p.position
    limit ${MAX_PROBLEMS}`
  return rows.map(({ shard, position, reason }) => ({
    check: 'parked',
    at: `${shard}/${position}`,
    expected: 'not parked: there is no such shard',
    found: `parked: ${reason}`,
  }))
}
