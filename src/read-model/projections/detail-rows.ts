import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { accountColumn, addToRow, type Column, listOf, toColumns, unnest } from './account-sql.ts'
import { toArray, toTextArray } from './array.ts'
import type { DetailTotal, Measures } from './detail-totals.ts'
import type { Table, WriteTarget } from './projection.ts'

/** The table with the measures of accounts of one kind. */
export const measuresTable = (kind: AccountKind) => `${kind}_measures`

/** The table with the usage of accounts of one kind by combination, and the backdated one. */
export const partsTable = (kind: AccountKind) => `${kind}_parts`
export const backdatedPartsTable = (kind: AccountKind) => `${kind}_backdated_parts`

export const measuresTableOf = (kind: AccountKind): Table => ({
  name: measuresTable(kind),
  key: ['shard', ACCOUNTS[kind].id],
  values: ['measures'],
  fillfactor: null,
})

/** The tables of parts of one kind. */
export function partsTablesOf(kind: AccountKind): Table[] {
  const { id, sums } = ACCOUNTS[kind]
  const values = [...sums, 'measures']
  const key = ['shard', id, 'quarter']
  return [
    { name: partsTable(kind), key: [...key, 'combination'], values, fillfactor: null },
    {
      name: backdatedPartsTable(kind),
      key: [...key, 'position', 'combination'],
      ...{ values, fillfactor: null },
    },
  ]
}

/** A row of parts: what an account counted in a quarter hour under one combination. */
export type PartRow = DetailTotal & { combination: string; start: string }
export type BackdatedPartRow = PartRow & { position: number }

/** Formats measures as a PostgreSQL array literal. */
export const formatMeasures = (measures: Measures) => `{${measures.join(',')}}`

/** Adds the measures of `excluded` to those of the row `alias`, element by element. */
export const sumMeasures = (transaction: Transaction, alias: string) => {
  const old = transaction`${transaction(alias)}.measures`
  return transaction`measures = array(
    select coalesce(m.old, 0) + coalesce(m.new, 0)
    from unnest(${old}, excluded.measures) with ordinality as m(old, new, n)
    order by m.n
  )`
}

/** Adds measures to the totals of accounts. */
export function writeMeasures(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: AccountKind,
  rows: readonly [account: number | string, measures: Measures][],
): Promise<unknown> {
  const { id, type } = ACCOUNTS[kind]
  const columns: Column[] = [
    accountColumn(type, rows, ([account]) => account),
    { name: 'measures', type: 'text', text: toTextArray(rows, ([, some]) => formatMeasures(some)) },
  ]
  return transaction`
    insert into ${transaction(measuresTable(kind))} as t
      (shard, generation, ${transaction(id)}, measures)
    select s.shard, ${generation}, f.account, f.measures::numeric[]
    from shards s
      cross join ${unnest(transaction, columns)}
    where s.shard = ${shard}
    on conflict (generation, ${transaction(id)}, shard) do update set
      ${sumMeasures(transaction, 't')}`
}

/** A combination in unique keys: an index can't keep texts of several kilobytes. */
export const combinationKey = (transaction: Transaction) => transaction`(
  case
    when octet_length(combination) > 512
      then encode(sha256(decode(replace(combination, '\\', '\\\\'), 'escape')), 'hex')
    else combination
  end
)`

/** Adds rows to usage by combination. */
export function writeParts(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: AccountKind,
  rows: readonly PartRow[],
): Promise<unknown> {
  const shape = { ...ACCOUNTS[kind], maxima: [] }
  const id = transaction(shape.id)
  const { sums } = shape
  return transaction`
    insert into ${transaction(partsTable(kind))} as t
      (shard, generation, ${id}, quarter, combination, ${listOf(transaction, sums)}, measures)
    select
      s.shard, ${generation}, f.account, f.quarter, f.combination,
      ${listOf(transaction, sums, 'f')}, f.measures::numeric[]
    from shards s
      cross join ${unnest(transaction, partColumns(kind, rows))}
    where s.shard = ${shard}
    on conflict (generation, ${id}, quarter, shard, ${combinationKey(transaction)}) do update set
      ${addToRow(transaction, shape, 't')}, ${sumMeasures(transaction, 't')}`
}

/** Adds rows to backdated usage by combination. */
export function writeBackdatedParts(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: AccountKind,
  rows: readonly BackdatedPartRow[],
): Promise<unknown> {
  const shape = { ...ACCOUNTS[kind], maxima: [] }
  const { id, sums } = shape
  const columns: Column[] = [
    ...partColumns(kind, rows),
    { name: 'position', type: 'bigint', text: toArray(rows, ({ position }) => position) },
  ]
  return transaction`
    insert into ${transaction(backdatedPartsTable(kind))} as t
      (shard, generation, ${transaction(id)}, quarter, position, combination,
        ${listOf(transaction, sums)}, measures)
    select
      s.shard, ${generation}, f.account, f.quarter, f.position, f.combination,
      ${listOf(transaction, sums, 'f')}, f.measures::numeric[]
    from shards s
      cross join ${unnest(transaction, columns)}
    where s.shard = ${shard}
    on conflict (
      generation, ${transaction(id)}, quarter, shard, position, ${combinationKey(transaction)}
    ) do update set ${addToRow(transaction, shape, 't')}, ${sumMeasures(transaction, 't')}`
}

/** Converts rows to columns; measures are array literals. */
export function partColumns(kind: AccountKind, rows: readonly PartRow[]): Column[] {
  const summed = { ...ACCOUNTS[kind], maxima: [] }
  const totals = rows.map(({ account, sums }) => ({ account, values: sums }))
  return [
    ...toColumns(summed, totals),
    { name: 'quarter', type: 'timestamptz', text: toTextArray(rows, ({ start }) => start) },
    { name: 'combination', type: 'text', text: toTextArray(rows, (row) => row.combination) },
    {
      name: 'measures',
      type: 'text',
      text: toTextArray(rows, ({ measures }) => formatMeasures(measures)),
    },
  ]
}
