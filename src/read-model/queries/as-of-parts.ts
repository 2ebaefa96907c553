import { ACCOUNTS } from '../../events/accounts.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { Postings } from '../../events/postings.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, listOf, unnest } from '../projections/account-sql.ts'
import { beforeBlock } from '../projections/backdated.ts'
import { partColumns } from '../projections/detail-rows.ts'
import { PartTotals } from '../projections/detail-totals.ts'
import type { PartialQuarterHour } from './as-of-usage-rows.ts'
import { EventCounter } from './count-events.ts'
import type { ReadLarge } from './read-large.ts'
import { accountOfParts, backdatedParts, type Scope, timelyParts } from './scope.ts'

/**
 * A `select` of usage by combination as of a time within these quarter hours, one per shard (see
 * `partRows`): what was counted in complete ones, what was backdated until then, and (`partial`,
 * see `readPartialParts`) what was counted in the incomplete ones.
 */
export function asOfPartRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
  partial: readonly Column[],
): Fragment {
  const columns = listOf(transaction, [...ACCOUNTS[scope.kind].sums, 'measures'], 'u')
  const read = transaction`
    select u.shard, u.quarter, u.combination, ${columns}
    from ${unnest(transaction, partial)}
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
      where u.shard = ${shard} and u.quarter < ${quarter}::timestamptz
      union all
      select u.shard, u.quarter, u.combination, ${columns}
      from (${backdatedParts(transaction, scope)}) u
      where u.shard = ${shard} and u.position <= ${until.positions[shard]!}`,
    read,
  )
}

/**
 * Reads from the log what the events of incomplete quarter hours counted in them, and what the
 * flushes of incomplete blocks counted in others (see `AsOfEnd`).
 */
export async function readPartialParts(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
  readLarge: ReadLarge | null,
): Promise<Column[]> {
  const account = accountOfParts(scope)
  const rows = await Promise.all(
    quarters.map(async ({ shard, quarter, before, until }) => {
      const [after, through] = [before.positions[shard]!, until.positions[shard]!]
      const quarterHours = new Map<string, PartTotals>()
      const partsOf = (start: string) => {
        const totals = quarterHours.get(start) ?? new PartTotals()
        quarterHours.set(start, totals)
        return totals
      }
      const count = (from: number, take: (some: Postings, isAct: boolean) => void) => {
        const counter = new EventCounter(transaction, scope.kind, take, readLarge)
        return counter.countRange({ shard, after: from, through }).then(() => counter.end())
      }
      await count(after, (some) => some.countedAt === undefined && partsOf(quarter).add(some))
      if (until.late.length > 0) {
        await count(beforeBlock(through), (some, isAct) => {
          const { countedAt } = some
          if (isAct || countedAt === undefined) return
          partsOf(startOfQuarterHour(countedAt!)).add(some)
        })
      }
      return [...quarterHours].flatMap(([start, totals]) =>
        [...totals.entries()]
          .filter((total) => total.account === account)
          .map((total) => ({ ...total, start })),
      )
    }),
  )
  return partColumns(scope.kind, rows.flat())
}
