import { readPositionAt } from '../log/position-at.ts'
import { readRecordedAt } from '../log/read.ts'
import type { Fragment, Sql, Transaction } from '../platform/postgres/pool.ts'
import { beforeBlock } from '../read-model/projections/backdated.ts'
import { ADJECTIVES, type Grain } from '../read-model/projections/rolled-up.ts'
import type { Rows } from './move-rows.ts'

/** How far usage is kept by days or months, and moved. Times as PostgreSQL formats them. */
export type Boundary = {
  /** What began before is kept by days, or by months. */
  before: string
  /** Backdated usage, if it was recorded through this position. */
  through: number
  /** Everything that began before was moved. */
  moved: string
  /** True if all that is to be moved from here is there: days are moved after quarter hours. */
  isFilled: boolean
}

/** The columns of a checkpoint that say how far usage is kept by days or months. */
export const boundaryColumns = (grain: Grain) =>
  ({
    before: `${ADJECTIVES[grain]}_before`,
    through: `${ADJECTIVES[grain]}_through`,
    moved: `${ADJECTIVES[grain]}_moved`,
  }) as const

/** Returns null if there is no such generation. */
export async function readBoundary(
  sql: Sql | Transaction,
  { shard, generation }: Rows,
  grain: Grain,
  lock: Fragment = sql``,
): Promise<Boundary | null> {
  const { before, through, moved } = boundaryColumns(grain)
  const isFilled = grain === 'day' ? sql`true` : sql`c.daily_moved = c.daily_before`
  const [row] = await sql<(Omit<Boundary, 'through'> & { through: string })[]>`
    select c.${sql(before)}::text as before, c.${sql(through)} as through,
      c.${sql(moved)}::text as moved, ${isFilled} as "isFilled"
    from checkpoints c
    where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${generation}
    ${lock}`
  return row ? { ...row, through: Number(row.through) } : null
}

/**
 * Returns the start of the day that was `kept` days (or of the month that was so many months)
 * before an event was recorded, or before now if the event has a later time; of months no more than
 * is kept by days. Null if there is no such event, or nothing to move.
 */
export async function readStartOfKept(
  sql: Sql | Transaction,
  rows: Rows,
  position: number,
  grain: Grain,
  kept: number,
): Promise<string | null> {
  const recordedAt = await readRecordedAt(sql, rows.shard, position)
  if (recordedAt === null) return null
  const [row] = await sql<{ start: string }[]>`
    select least(
      date_trunc(
        ${grain},
        least(clock_timestamp(), ${recordedAt}::timestamptz)
          - ${kept}::integer * ${`1 ${grain}`}::interval,
        'UTC'
      ),
      ${grain === 'day' ? sql`null` : sql`date_trunc(${grain}, c.daily_before, 'UTC')`}
    )::text as start
    from checkpoints c
    where c.shard = ${rows.shard} and c.projection = 'usage' and c.generation = ${rows.generation}`
  return row === undefined || row.start === '-infinity' ? null : row.start
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
 * Returns the end of the last block that was recorded on the same day (or in the same month) as the
 * end of a block: where backdated usage that was recorded then is added up.
 */
export async function readEndOfUnit(
  sql: Sql | Transaction,
  shard: number,
  grain: Grain,
  endOfBlock: number,
): Promise<number> {
  const recordedAt = await readRecordedAt(sql, shard, endOfBlock)
  if (recordedAt === null) throw new Error(`event ${shard}/${endOfBlock} is not in the log`)
  const [row] = await sql<{ next: string }[]>`
    select (
      date_trunc(${grain}, ${recordedAt}::timestamptz, 'UTC') + ${`1 ${grain}`}::interval
    )::text as next`
  return readEndOfBlocks(sql, shard, row!.next)
}
