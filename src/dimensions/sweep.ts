import type { Sql } from '../platform/postgres/pool.ts'

/** Rows that one statement deletes: some 50 ms. */
const MAX_ROWS = 10_000

/**
 * Deletes what a shard accepted on days before `day`. No append uses these rows. If it fails, the
 * next call continues; the row of the day goes last.
 */
export async function deleteDaysBefore(sql: Sql, shard: number, day: string): Promise<void> {
  const days = await sql<{ day: string }[]>`
    select to_char(a.day, 'YYYY-MM-DD') as day
    from accepted_days a
    where a.shard = ${shard} and a.day < ${day}::text::date
    order by a.day`
  for (const { day: ended } of days) {
    await deleteValues(sql, shard, ended)
    await sql`
      delete from accepted_counts a where a.shard = ${shard} and a.day = ${ended}::text::date`
    await sql`
      delete from accepted_days a where a.shard = ${shard} and a.day = ${ended}::text::date`
  }
}

type Key = { kind: string; name: string; value: string }

const FIRST: Key = { kind: '', name: '', value: '' }

async function deleteValues(sql: Sql, shard: number, day: string): Promise<void> {
  for (let next: Key | null = FIRST; next !== null; ) {
    next = await deleteFrom(sql, shard, day, next)
  }
}

/**
 * Deletes from one key of the table on. Returns the first that is left, or null. Without
 * statistics, deleting the rows that a subquery returns took minutes for 20,000 rows.
 */
async function deleteFrom(sql: Sql, shard: number, day: string, from: Key): Promise<Key | null> {
  const isLeft = sql`
    a.shard = ${shard}
      and a.day = ${day}::text::date
      and (a.kind, a.name, a.value) >= (${from.kind}, ${from.name}, ${from.value})`
  const [end = null] = await sql<Key[]>`
    select a.kind, a.name, a.value
    from accepted_values a
    where ${isLeft}
    order by a.kind, a.name, a.value
    offset ${MAX_ROWS}
    limit 1`
  const isBefore =
    end === null
      ? sql``
      : sql`and (a.kind, a.name, a.value) < (${end.kind}, ${end.name}, ${end.value})`
  await sql`delete from accepted_values a where ${isLeft} ${isBefore}`
  return end
}
