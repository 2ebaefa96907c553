import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { archiveOf } from './archived.ts'

/**
 * Returns the first position of a shard recorded at `at` or later. A statement of its own: on
 * Citus, a function that reads the log can't run inside a statement that reads it, too.
 */
export async function readPositionAt(
  sql: Sql | Transaction,
  shard: number,
  at: string,
): Promise<number> {
  const archive = archiveOf(sql)
  const spans = (await archive?.spans(shard)) ?? []
  const recorded = spans.length === 0 ? at : await toRecordedAt(sql, at)
  let low = 0
  for (const span of spans) {
    if (low < span.first) {
      const found = await bisect(sql, shard, at, { first: low, end: span.first })
      if (found < span.first) return found
    }
    const found = await archive!.positionAt(shard, span, recorded)
    if (found < span.end) return found
    low = span.end
  }
  return bisect(sql, shard, at, { first: low, end: null })
}

async function bisect(
  sql: Sql | Transaction,
  shard: number,
  at: string,
  { first, end }: { first: number; end: number | null },
): Promise<number> {
  const [row] = await sql<{ position: string }[]>`
    select position_at(${shard}, ${at}::timestamptz, ${first}, ${end}::bigint) as position`
  return Number(row!.position)
}

/** Formats a time as the log shows it: RFC 3339 in UTC, rounded to microseconds. */
export async function toRecordedAt(sql: Sql | Transaction, moment: string): Promise<string> {
  const [row] = await sql<{ recorded_at: string }[]>`
    select ${sql.unsafe(toMicroseconds('t.moment'))} as recorded_at
    from (select ${moment}::timestamptz as moment) t`
  return row!.recorded_at
}
