import { ownClock } from '../platform/postgres/clock.ts'
import type { Sql } from '../platform/postgres/pool.ts'

/** A day (UTC), such as `2026-01-31`, and the milliseconds until it ends. */
export type Today = { day: string; msLeft: number }

/**
 * Reads the day with which a shard would record an event now. Throws if the database's clock is
 * wrong, as an append does.
 */
export async function readToday(sql: Sql, shard: number): Promise<Today> {
  await sql`select check_clock(${ownClock(sql)})`
  const [row] = await sql<{ day: string; ms_left: number }[]>`
    select
      to_char(t.at, 'YYYY-MM-DD') as day,
      extract(epoch from date_trunc('day', t.at) + interval '1 day' - t.at)::float8 * 1000
        as ms_left
    from (
      select
        greatest(
          clock_timestamp(),
          s.not_before,
          (
            select e.recorded_at
            from events e
            where e.shard = ${shard}
            order by e.position desc
            limit 1
          )
        ) at time zone 'UTC' as at
      from shards s
      where s.shard = ${shard}
      offset 0
    ) t`
  return { day: row!.day, msLeft: row!.ms_left }
}
