import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
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

/** Measures up to this number are added one by one: a statement is prepared for each length. */
const MAX_NAMED = 32

/**
 * Adds the measures of `excluded`, which are `added`, to those of the row `alias`, element by
 * element. The result is as long as the longer array. Naming each element takes a fifth less of the
 * database's time for a row than a subquery, which is for rows that have measures beyond those.
 */
export function sumMeasures(
  transaction: Transaction,
  alias: string,
  added: readonly Measures[],
): Fragment {
  const length = added.reduce((most, measures) => Math.max(most, measures.length), 0)
  const summed = `array(
    select coalesce(m.old, 0) + coalesce(m.new, 0)
    from unnest(${alias}.measures, excluded.measures) with ordinality as m(old, new, n)
    order by m.n
  )`
  if (length === 0 || length > MAX_NAMED) return fragment(`measures = ${summed}`)
  const elements = Array.from({ length }, (_, i) => {
    const element = `measures[${i + 1}]`
    return `coalesce(${alias}.${element}, 0) + coalesce(excluded.${element}, 0)`
  })
  return fragment(`measures = case
    when cardinality(${alias}.measures) > ${length} then ${summed}
    else (array[${elements.join(', ')}])[
      1:greatest(cardinality(${alias}.measures), cardinality(excluded.measures))
    ]
  end`)

  function fragment(text: string): Fragment {
    return transaction.unsafe(text) as unknown as Fragment
  }
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
  const added = rows.map(([, measures]) => measures)
  return transaction`
    insert into ${transaction(measuresTable(kind))} as t
      (shard, generation, ${transaction(id)}, measures)
    select s.shard, ${generation}, f.account, f.measures::numeric[]
    from shards s
      cross join ${unnest(transaction, columns)}
    where s.shard = ${shard}
    on conflict (generation, ${transaction(id)}, shard) do update set
      ${sumMeasures(transaction, 't', added)}`
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
  const added = rows.map(({ measures }) => measures)
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
      ${addToRow(transaction, shape, 't')}, ${sumMeasures(transaction, 't', added)}`
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
  const added = rows.map(({ measures }) => measures)
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
    ) do update set ${addToRow(transaction, shape, 't')}, ${sumMeasures(transaction, 't', added)}`
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
