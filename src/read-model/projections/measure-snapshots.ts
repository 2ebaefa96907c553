import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { accountColumn, type Column, listOf, unnest } from './account-sql.ts'
import { toArray } from './array.ts'
import type { MeasureTotals } from './detail-totals.ts'
import type { Table, WriteTarget } from './projection.ts'
import { PAGE_ACCOUNTS, snapshotTable } from './snapshot-pages.ts'

/** Names the table with snapshots of measures, and its account columns. */
export const measureSnapshotTable = (kind: AccountKind) => ({
  ...snapshotTable(kind),
  table: `${kind}_measure_snapshots`,
})

export function measureSnapshotTableOf(kind: AccountKind): Table {
  const { table, first, last, accounts } = measureSnapshotTable(kind)
  const key = ['shard', 'position', 'number', first]
  return { name: table, key, values: [last, accounts, 'totals'], fillfactor: null }
}

/** Returns totals as columns: account, number and value, a row for each measure of an account. */
export function measureColumns(kind: AccountKind, totals: MeasureTotals): Column[] {
  const rows = [...totals.entries()].flatMap(([account, measures]) =>
    measures.flatMap((value, number) => (Number(value) === 0 ? [] : [{ account, number, value }])),
  )
  return [
    accountColumn(ACCOUNTS[kind].type, rows, ({ account }) => account),
    { name: 'number', type: 'bigint', text: toArray(rows, ({ number }) => number) },
    { name: 'value', type: 'numeric', text: toArray(rows, ({ value }) => value) },
  ]
}

/** Unpacks snapshots `s` of measures into rows `u (account, value)`, for use after `from`. */
export const unpackMeasures = (transaction: Transaction, kind: AccountKind) => transaction`
  lateral unnest(${listOf(transaction, [measureSnapshotTable(kind).accounts, 'totals'], 's')})
    as u(account, value)`

/** Adds the totals since the snapshot before to it, as a new one. */
export function writeMeasurePages(
  transaction: Transaction,
  { shard, generation, after, position }: WriteTarget,
  kind: AccountKind,
  columns: readonly Column[],
): Promise<unknown> {
  const { table, first, last, accounts } = measureSnapshotTable(kind)
  return transaction`
    insert into ${transaction(table)}
      (shard, generation, position, number, ${listOf(transaction, [first, last, accounts])}, totals)
    select
      ${shard}::integer, ${generation}::integer, ${position}::bigint, n.number,
      min(n.account), max(n.account), array_agg(n.account order by n.account),
      array_agg(n.value order by n.account)
    from (
      select
        t.account, t.number, sum(t.value) as value,
        (row_number() over (partition by t.number order by t.account) - 1)
          / ${PAGE_ACCOUNTS}::integer as page
      from (
        select u.account, s.number, u.value
        from ${transaction(table)} s
          cross join ${unpackMeasures(transaction, kind)}
        where s.shard = ${shard} and s.generation = ${generation} and s.position = ${after}
        union all
        select f.account, f.number::integer, f.value
        from ${unnest(transaction, columns)}
      ) t
      group by t.account, t.number
      having sum(t.value) <> 0
    ) n
    group by n.number, n.page`
}
