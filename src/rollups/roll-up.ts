import { ACCOUNTS } from '../events/accounts.ts'
import { mayMove } from '../platform/postgres/moves-lock.ts'
import { type Fragment, type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../read-model/projections/array.ts'
import { endOfBlock } from '../read-model/projections/backdated.ts'
import {
  type Boundary,
  readBoundary,
  readEndOfBlocks,
  readEndOfDay,
  readStartOfKept,
} from './boundary.ts'
import {
  BACKDATED_TABLES,
  isOf,
  type MovedTable,
  moveRows,
  type Rows,
  TIMELY_TABLES,
} from './move-rows.ts'

/**
 * Days and accounts whose usage is moved in one transaction, in which the shard's usage can't be
 * folded: some 30,000 rows, a third of a second.
 */
const DAYS_AT_ONCE = 7
const ACCOUNTS_AT_ONCE = 50

/** Usage moves while a verification runs only in a generation that is not live. */
type Options = { isStopped?: () => boolean; isLive?: boolean }

/**
 * Decides that usage of a shard is kept by days which began more than `days` before the event at
 * `position` was recorded. All of it must be folded and attested. Readers see it at once; the rows
 * are moved by `moveUsage`. Nothing recorded later counts in it but as backdated usage, because
 * time never decreases in a shard.
 */
export async function advance(
  sql: Sql,
  rows: Rows,
  position: number,
  days: number,
): Promise<boolean> {
  const start = await readStartOfKept(sql, rows.shard, position, days)
  if (start === null) return false
  const through = await readEndOfBlocks(sql, rows.shard, start)
  return transact(sql, '', async (transaction) => {
    if (!(await mayMove(transaction, rows.shard))) return false
    const moved = await transaction`
      update checkpoints c
      set daily_before = ${start}::timestamptz,
        daily_through = greatest(c.daily_through, ${through})
      where c.shard = ${rows.shard} and c.projection = 'usage' and c.generation = ${rows.generation}
        and c.daily_before < ${start}::timestamptz and c.position >= ${position}`
    return moved.count > 0
  })
}

/**
 * Moves the usage of a shard that is kept by days from the tables by quarter hours. Returns false
 * if it was stopped, or a verification runs, or the generation is gone. If killed, what was moved
 * stays moved, and is right; the next call continues.
 */
export async function moveUsage(sql: Sql, rows: Rows, options: Options = {}): Promise<boolean> {
  for (;;) {
    const boundary = await readBoundary(sql, rows)
    if (boundary === null) return false
    const step = await readStep(sql, rows, boundary)
    if (step === null) return true
    for (const table of TIMELY_TABLES) {
      if (!(await moveTimely(sql, table, rows, step, options))) return false
    }
    for (const table of BACKDATED_TABLES) {
      if (!(await moveBackdated(sql, table, rows, step, options))) return false
    }
    const isNoted = await inMove(sql, rows, options, async (transaction) => {
      await transaction`
        update checkpoints c
        set daily_moved = ${step.to}::timestamptz
        where c.shard = ${rows.shard} and c.projection = 'usage'
          and c.generation = ${rows.generation}`
    })
    if (!isNoted) return false
  }
}

/** Some days to move, and the position through which backdated usage in them is moved. */
type Step = { from: string; to: string; through: number }

async function readStep(sql: Sql, rows: Rows, boundary: Boundary): Promise<Step | null> {
  const { before, through, moved } = boundary
  const [step] = await sql<{ from: string; to: string; isDone: boolean }[]>`
    select
      m.moved::text as from,
      least(
        ${before}::timestamptz,
        date_trunc('day', m.first, 'UTC') + ${DAYS_AT_ONCE} * interval '1 day'
      )::text as to,
      m.moved >= ${before}::timestamptz as "isDone"
    from (
      select ${moved}::timestamptz as moved,
        case
          when isfinite(${moved}::timestamptz) then ${moved}::timestamptz
          else (${firstQuarter(sql, rows)})
        end as first
    ) m`
  if (step!.isDone) return null
  return { from: step!.from, to: step!.to, through }
}

/** Selects the first quarter hour with usage; null, which `least` ignores, if there is none. */
function firstQuarter(sql: Sql, rows: Rows): Fragment {
  const firsts = TIMELY_TABLES.map(
    ({ name }) => sql`
      select min(u.quarter) as quarter
      from ${sql(name)} u
      where ${isOf(sql, rows)} and isfinite(u.quarter)`,
  ).reduce((all, one) => sql`${all} union all ${one}`)
  return sql`select min(q.quarter) from (${firsts}) q`
}

async function moveTimely(
  sql: Sql,
  table: MovedTable,
  rows: Rows,
  { from, to }: Step,
  options: Options,
): Promise<boolean> {
  const { id, type } = ACCOUNTS[table.kind]
  const isWithin = (some: Sql | Transaction) => some`
    u.quarter >= ${from}::timestamptz and u.quarter < ${to}::timestamptz`
  const found = await sql<{ account: string }[]>`
    select distinct u.${sql(id)}::text as account
    from ${sql(table.name)} u
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

/** Backdated usage is moved block by block; see `readEndOfDay` for where to. */
async function moveBackdated(
  sql: Sql,
  table: MovedTable,
  rows: Rows,
  { to, through }: Step,
  options: Options,
): Promise<boolean> {
  const isWithin = (some: Sql | Transaction) => some`
    u.position <= ${through} and u.quarter < ${to}::timestamptz and isfinite(u.quarter)`
  const found = await sql<{ position: string }[]>`
    select distinct u.position
    from ${sql(table.name)} u
    where ${isOf(sql, rows)} and ${isWithin(sql)}
    order by u.position`
  for (const { position } of found) {
    const end = await readEndOfDay(sql, rows.shard, endOfBlock(Number(position)))
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
    if ((await readBoundary(transaction, rows, transaction`for update of c`)) === null) return false
    await run(transaction)
    return true
  })
  if (isDone && isLive) await Bun.sleep(performance.now() - started)
  return isDone
}
