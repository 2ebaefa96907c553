import { readPositionAt } from '../log/position-at.ts'
import { readRecordedAt } from '../log/read.ts'
import type { Fragment, Sql, Transaction } from '../platform/postgres/pool.ts'
import { beforeBlock } from '../read-model/projections/backdated.ts'
import type { Rows } from './move-rows.ts'

/** How far usage is kept by days, and how far it was moved. Times as PostgreSQL formats them. */
export type Boundary = {
  /** What began before is kept by days. */
  before: string
  /** Backdated usage, if it was recorded through this position. */
  through: number
  /** Everything that began before was moved. */
  moved: string
}

export async function readBoundary(
  sql: Sql | Transaction,
  { shard, generation }: Rows,
  lock: Fragment = sql``,
): Promise<Boundary | null> {
  const [row] = await sql<{ before: string; through: string; moved: string }[]>`
    select c.daily_before::text as before, c.daily_through as through, c.daily_moved::text as moved
    from checkpoints c
    where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${generation}
    ${lock}`
  return row ? { ...row, through: Number(row.through) } : null
}

/**
 * Returns the start of the day that was `days` before an event was recorded, or before now if the
 * event has a later time. Null if there is no such event.
 */
export async function readStartOfKept(
  sql: Sql | Transaction,
  shard: number,
  position: number,
  days: number,
): Promise<string | null> {
  const recordedAt = await readRecordedAt(sql, shard, position)
  if (recordedAt === null) return null
  const [row] = await sql<{ start: string }[]>`
    select date_trunc(
      'day',
      least(clock_timestamp(), ${recordedAt}::timestamptz) - ${days} * interval '1 day',
      'UTC'
    )::text as start`
  return row!.start
}

/** Returns the end of the last block of positions that was recorded before a time. */
export async function readEndOfBlocks(
  sql: Sql | Transaction,
  shard: number,
  at: string,
): Promise<number> {
  return beforeBlock(await readPositionAt(sql, shard, at))
}

/**
 * Returns the end of the last block that was recorded on the same day as the end of the block of
 * `position`: where backdated usage that was recorded on a day is added up.
 */
export async function readEndOfDay(
  sql: Sql | Transaction,
  shard: number,
  endOfBlock: number,
): Promise<number> {
  const recordedAt = await readRecordedAt(sql, shard, endOfBlock)
  if (recordedAt === null) throw new Error(`event ${shard}/${endOfBlock} is not in the log`)
  const [row] = await sql<{ next: string }[]>`
    select (date_trunc('day', ${recordedAt}::timestamptz, 'UTC') + interval '1 day')::text as next`
  return readEndOfBlocks(sql, shard, row!.next)
}
