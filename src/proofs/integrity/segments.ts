import type { Sql } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** Checks that the table of segments lists the partitions of the log, and no others. */
export async function checkSegments(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ at: string; expected: string; found: string }[]>`
    with partitions as (
      select
        substring(pg_get_expr(p.relpartbound, p.oid) from '\\d+')::integer as shard,
        substring(b.bound from 'FROM \\(\\D?(\\d+)')::bigint as first_position,
        substring(b.bound from 'TO \\(\\D?(\\d+)')::bigint as end_position
      from pg_inherits s
        join pg_class p on p.oid = s.inhrelid
        join pg_inherits i on i.inhparent = p.oid
        join pg_class c on c.oid = i.inhrelid
        cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
      where s.inhparent = to_regclass('events_segments')
      union all
      -- The table that was the whole log once has all shards.
      select s.shard, 0, substring(pg_get_expr(c.relpartbound, c.oid) from '\\d+')::bigint
      from pg_class c
        cross join shards s
      where c.oid = to_regclass('events_legacy')
    )
    select
      concat('segments ', shard, '/', first_position) as at,
      coalesce('through ' || p.end_position - 1, 'no row') as expected,
      coalesce('through ' || g.end_position - 1, 'no row') as found
    from partitions p
      full join segments g using (shard, first_position)
    where p.end_position is distinct from g.end_position
    order by shard, first_position
    limit ${MAX_PROBLEMS}`
  return rows.map((row) => ({ check: 'shards', ...row }))
}
