import { ACCOUNTS } from '../../events/accounts.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { Postings } from '../../events/postings.ts'
import { readPositionAt } from '../../log/position-at.ts'
import { mayHaveDetails } from '../../log/read.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, listOf, unnest } from '../projections/account-sql.ts'
import { beforeBlock } from '../projections/backdated.ts'
import { type PartRow, partColumns } from '../projections/detail-rows.ts'
import { PartTotals } from '../projections/detail-totals.ts'
import { usage } from '../projections/usage.ts'
import type { PartialQuarterHour } from './as-of-usage-rows.ts'
import { EventCounter } from './count-events.ts'
import { readReflected } from './live.ts'
import type { ReadLarge } from './read-large.ts'
import { accountOfParts, backdatedParts, rolledUpParts, type Scope, timelyParts } from './scope.ts'

/** The most events of a shard's incomplete quarter hour that one read folds: seconds of work. */
const MAX_PARTIAL_EVENTS = 500_000

/** What incomplete quarter hours counted, as a difference from rows of usage by combination. */
export type PartialParts = {
  columns: readonly Column[]
  /** The shards whose incomplete quarter hour is in its row, less what is in these columns. */
  fromRow: ReadonlySet<number>
}

/**
 * A `select` of usage by combination as of a time within these quarter hours, one per shard (see
 * `partRows`): what was counted in complete ones, what was backdated until then, and (`partial`,
 * see `readPartialParts`) what was counted in the incomplete ones.
 */
export function asOfPartRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
  partial: PartialParts,
): Fragment {
  const columns = listOf(transaction, [...ACCOUNTS[scope.kind].sums, 'measures'], 'u')
  const read = transaction`
    select u.shard, u.quarter, u.combination, ${columns}
    from ${unnest(transaction, partial.columns)}
      cross join lateral (
        select
          0 as shard, f.quarter, f.combination,
          ${listOf(transaction, ACCOUNTS[scope.kind].sums, 'f')},
          f.measures::numeric[] as measures
      ) u`
  return quarters.reduce(
    (all, { shard, quarter, until }) => transaction`
      ${all}
      union all
      select u.shard, u.quarter, u.combination, ${columns}
      from (${timelyParts(transaction, scope)}) u
      where u.shard = ${shard} and (
        u.quarter < ${quarter}::timestamptz
        or u.quarter = ${quarter}::timestamptz and ${partial.fromRow.has(shard)}
      )
      union all
      select u.shard, u.quarter, u.combination, ${columns}
      from (${backdatedParts(transaction, scope)}) u
      where u.shard = ${shard} and u.position <= ${until.positions[shard]!}`,
    transaction`${read} ${rolledUpParts(transaction, scope)}`,
  )
}

/**
 * Reads from the log what the events of incomplete quarter hours counted in them, and what the
 * flushes of incomplete blocks counted in others (see `AsOfEnd`). Of a quarter hour it reads the
 * events that came until then, or, if there are fewer, those that its row has besides. Throws
 * TooManyEvents if there are more than `maxEvents` with dimensions and measures.
 */
export async function readPartialParts(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
  readLarge: ReadLarge | null,
  maxEvents = MAX_PARTIAL_EVENTS,
): Promise<PartialParts> {
  const account = accountOfParts(scope)
  const folded = await readReflected(transaction, [usage])
  const fromRow = new Set<number>()
  const bound = { condition: mayHaveDetails(transaction), maxEvents }
  const rows = await Promise.all(
    quarters.map(async ({ shard, quarter, before, until }) => {
      const [after, through] = [before.positions[shard]!, until.positions[shard]!]
      const count = (take: (some: Postings, isAct: boolean) => void) =>
        new EventCounter(transaction, scope.kind, take, readLarge)
      const own = new PartTotals(account)
      const counter = count((some) => some.countedAt === undefined && own.add(some))
      const end = await readEndOfRow(transaction, { shard, quarter, folded: folded[shard]! })
      const isFromRow = end >= through && end - through < through - after
      if (isFromRow) fromRow.add(shard)
      const range = isFromRow ? { after: through, through: end } : { after, through }
      await counter.countRange({ shard, ...range }, bound)
      await counter.end()
      const found = rowsOf(own, quarter).map((row) => (isFromRow ? negate(row) : row))
      if (until.late.length === 0) return found
      const late = new Map<string, PartTotals>()
      const block = count((some, isAct) => {
        if (isAct || some.countedAt === undefined) return
        const start = startOfQuarterHour(some.countedAt!)
        const totals = late.get(start) ?? new PartTotals(account)
        late.set(start, totals)
        totals.add(some)
      })
      await block.countRange({ shard, after: beforeBlock(through), through })
      await block.end()
      return [...found, ...[...late].flatMap(([start, totals]) => rowsOf(totals, start))]
    }),
  )
  return { columns: partColumns(scope.kind, rows.flat()), fromRow }
}

/** Returns the position of the last event that a shard's row of a quarter hour includes. */
async function readEndOfRow(
  transaction: Transaction,
  { shard, quarter, folded }: { shard: number; quarter: string; folded: number },
): Promise<number> {
  const [row] = await transaction<{ next: string }[]>`
    select (${quarter}::timestamptz + interval '15 minutes')::text as next`
  return Math.min(folded, (await readPositionAt(transaction, shard, row!.next)) - 1)
}

const rowsOf = (totals: PartTotals, start: string): PartRow[] =>
  [...totals.entries()].map((total) => ({ ...total, start }))

const negate = ({ sums, measures, ...row }: PartRow): PartRow => ({
  ...row,
  sums: sums.map((value) => -value),
  measures: measures.map((value) => -value),
})
