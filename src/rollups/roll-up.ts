import { ACCOUNTS } from '../events/accounts.ts'
import { mayMove } from '../platform/postgres/moves-lock.ts'
import { type Fragment, type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../read-model/projections/array.ts'
import { endOfBlock } from '../read-model/projections/backdated.ts'
import { type Grain, TIMELY } from '../read-model/projections/rolled-up.ts'
import {
  type Boundary,
  boundaryColumns,
  readBoundary,
  readEndOfBlocks,
  readEndOfUnit,
  readStartOfKept,
} from './boundary.ts'
import { isOf, moveRows, type Rows } from './move-rows.ts'
import { MOVED_TABLES, type MovedTable } from './moved-tables.ts'

/**
 * How much of the usage of so many accounts is moved in one transaction, in which the shard's usage
 * can't be folded: some 30,000 quarter hours, a third of a second, or 18,000 days.
 */
const AT_ONCE = { day: '7 days', month: '1 year' } as const
const ACCOUNTS_AT_ONCE = 50

/** Usage moves while a verification runs only in a generation that is not live. */
type Options = { isStopped?: () => boolean; isLive?: boolean }

/**
 * Decides that usage of a shard is kept by days (or months) which began more than `kept` of them
 * before the event at `position` was recorded. All of it must be folded and attested. Readers see
 * it at once; the rows are moved by `moveUsage`. Nothing recorded later counts in it but as
 * backdated usage, because time never decreases in a shard.
 */
export async function advance(
  sql: Sql,
  rows: Rows,
  position: number,
  grain: Grain,
  kept: number,
): Promise<boolean> {
  const start = await readStartOfKept(sql, rows, position, grain, kept)
  if (start === null) return false
  const end = await readEndOfBlocks(sql, rows.shard, start)
  const { before, through } = boundaryColumns(grain)
  return transact(sql, '', async (transaction) => {
    if (!(await mayMove(transaction, rows.shard))) return false
    const moved = await transaction`
      update checkpoints c
      set ${transaction(before)} = ${start}::timestamptz,
        ${transaction(through)} = greatest(c.${transaction(through)}, ${end})
      where c.shard = ${rows.shard} and c.projection = 'usage' and c.generation = ${rows.generation}
        and c.${transaction(before)} < ${start}::timestamptz and c.position >= ${position}`
    return moved.count > 0
  })
}

/**
 * Moves the usage of a shard that is kept by days (or months) from the tables by quarter hours (or
 * days). Returns false if it was stopped, or a verification runs, or the generation is gone, or
 * days are not complete yet. If killed, what was moved stays moved, and is right; the next call
 * continues.
 */
export async function moveUsage(
  sql: Sql,
  rows: Rows,
  grain: Grain,
  options: Options = {},
): Promise<boolean> {
  const { timely, backdated } = MOVED_TABLES[grain]
  for (;;) {
    const boundary = await readBoundary(sql, rows, grain)
    if (boundary === null || !boundary.isFilled) return false
    const step = await readStep(sql, rows, grain, boundary)
    if (step === null) return true
    for (const table of timely) {
      if (!(await moveTimely(sql, table, rows, step, options))) return false
    }
    for (const table of backdated) {
      if (!(await moveBackdated(sql, table, rows, step, options))) return false
    }
    const isNoted = await inMove(sql, rows, options, async (transaction) => {
      await transaction`
        update checkpoints c
        set ${transaction(boundaryColumns(grain).moved)} = ${step.to}::timestamptz
        where c.shard = ${rows.shard} and c.projection = 'usage'
          and c.generation = ${rows.generation}`
    })
    if (!isNoted) return false
  }
}

/** Some days or months to move, and through which position backdated usage in them is moved. */
type Step = { from: string; to: string; through: number }

async function readStep(
  sql: Sql,
  rows: Rows,
  grain: Grain,
  { before, through, moved }: Boundary,
): Promise<Step | null> {
  const [step] = await sql<{ from: string; to: string; isDone: boolean }[]>`
    select
      m.moved::text as from,
      least(
        ${before}::timestamptz,
        date_trunc(${grain}, m.first, 'UTC') + ${AT_ONCE[grain]}::interval
      )::text as to,
      m.moved >= ${before}::timestamptz as "isDone"
    from (
      select ${moved}::timestamptz as moved,
        case
          when isfinite(${moved}::timestamptz) then ${moved}::timestamptz
          else (${firstTimely(sql, rows, grain)})
        end as first
    ) m`
  if (step!.isDone) return null
  return { from: step!.from, to: step!.to, through }
}

/** Selects when the first timely usage began; null, which `least` ignores, if there is none. */
function firstTimely(sql: Sql, rows: Rows, grain: Grain): Fragment {
  const firsts = MOVED_TABLES[grain].timely
    .map(
      (table) => sql`
        select min(u.quarter) as quarter
        from ${sql(table.from)} u
        where ${isOf(sql, rows)} and isfinite(u.quarter) and ${isTimely(sql, table)}`,
    )
    .reduce((all, one) => sql`${all} union all ${one}`)
  return sql`select min(q.quarter) from (${firsts}) q`
}

const isTimely = (sql: Sql | Transaction, { hasBoth }: MovedTable): Fragment =>
  hasBoth ? sql`u.position = ${TIMELY}` : sql`true`

async function moveTimely(
  sql: Sql,
  table: MovedTable,
  rows: Rows,
  { from, to }: Step,
  options: Options,
): Promise<boolean> {
  const { id, type } = ACCOUNTS[table.kind]
  const isWithin = (some: Sql | Transaction) => some`
    u.quarter >= ${from}::timestamptz and u.quarter < ${to}::timestamptz
      and ${isTimely(some, table)}`
  const found = await sql<{ account: string }[]>`
    select distinct u.${sql(id)}::text as account
    from ${sql(table.from)} u
    where ${isOf(sql, rows)} and ${isWithin(sql)}`
  for (let first = 0; first < found.length; first += ACCOUNTS_AT_ONCE) {
    const some = found.slice(first, first + ACCOUNTS_AT_ONCE)
    const accounts =
      type === 'text'
        ? toTextArray(some, ({ account }) => account)
        : toArray(some, ({ account }) => Number(account))
    const isMoved = await inMove(sql, rows, options, (transaction) =>
      moveRows(
        transaction,
        table,
        rows,
        transaction`
          u.${transaction(id)} = any (${accounts}::${transaction.unsafe(type)}[])
            and ${isWithin(transaction)}`,
      ),
    )
    if (!isMoved) return false
  }
  return true
}

/** Backdated usage is moved position by position; see `readEndOfUnit` for where to. */
async function moveBackdated(
  sql: Sql,
  table: MovedTable,
  rows: Rows,
  { to, through }: Step,
  options: Options,
): Promise<boolean> {
  const isWithin = (some: Sql | Transaction) => some`
    u.position > ${TIMELY} and u.position <= ${through}
    and u.quarter < ${to}::timestamptz and isfinite(u.quarter)`
  const found = await sql<{ position: string }[]>`
    select distinct u.position
    from ${sql(table.from)} u
    where ${isOf(sql, rows)} and ${isWithin(sql)}
    order by u.position`
  for (const { position } of found) {
    const end = await readEndOfUnit(sql, rows.shard, table.grain, endOfBlock(Number(position)))
    const isMoved = await inMove(sql, rows, options, (transaction) =>
      moveRows(
        transaction,
        table,
        rows,
        transaction`u.position = ${position} and ${isWithin(transaction)}`,
        end,
      ),
    )
    if (!isMoved) return false
  }
  return true
}

/**
 * Runs one step in a transaction that locks the checkpoint: so nothing is folded meanwhile, and no
 * other process moves the same rows. Then pauses for as long as that took, so that folds have their
 * turn. Returns false, and runs nothing, if it may not.
 */
async function inMove(
  sql: Sql,
  rows: Rows,
  { isStopped = () => false, isLive = true }: Options,
  run: (transaction: Transaction) => Promise<void>,
): Promise<boolean> {
  const started = performance.now()
  const isDone = await transact(sql, '', async (transaction) => {
    if (isStopped() || (isLive && !(await mayMove(transaction, rows.shard)))) return false
    const lock = transaction`for update of c`
    if ((await readBoundary(transaction, rows, 'day', lock)) === null) return false
    await run(transaction)
    return true
  })
  if (isDone && isLive) await Bun.sleep(performance.now() - started)
  return isDone
}
