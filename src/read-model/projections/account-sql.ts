import type { AccountShape } from '../../events/accounts.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { joinArrays, toArray, toTextArray } from './array.ts'
import type { Total } from './totals.ts'

// Pieces of statements, for accounts of any kind. All names are the shapes' own.

/** A column of rows that a statement is given: its values as PostgreSQL's text of an array. */
export type Column = {
  name: string
  type: 'bigint' | 'numeric' | 'text' | 'timestamptz'
  text: string
}

/** The names of an account's values. */
export const valuesOf = ({ sums, maxima }: AccountShape): readonly string[] => [...sums, ...maxima]

/** A list of columns, of the rows `alias` if there is one. */
export function listOf(sql: Sql | Transaction, columns: readonly string[], alias = ''): Fragment {
  const prefix = alias === '' ? '' : `${alias}.`
  return sql.unsafe(columns.map((name) => prefix + name).join(', ')) as unknown as Fragment
}

/** Totals as columns: `account`, and the shape's values. */
export function toColumns(
  { type, sums, maxima }: AccountShape,
  totals: readonly Total[],
): Column[] {
  const accounts =
    type === 'text'
      ? toTextArray(totals, ({ account }) => account as string)
      : toArray(totals, ({ account }) => account as number)
  return [
    { name: 'account', type, text: accounts },
    ...[...sums, ...maxima].map((name, i) => ({
      name,
      type: i < sums.length ? ('numeric' as const) : ('bigint' as const),
      text: toArray(totals, ({ values }) => values[i]!),
    })),
  ]
}

/** The columns of all slices together; made of one after the other, with a null after each. */
export function* gatherColumns(
  shape: AccountShape,
  slices: Iterable<Total[]>,
): Generator<null, Column[]> {
  const gathered: Column[][] = []
  for (const slice of slices) {
    gathered.push(toColumns(shape, slice))
    yield null
  }
  return toColumns(shape, []).map((column, i) => ({
    ...column,
    text: joinArrays(gathered.map((columns) => columns[i]!.text)),
  }))
}

/** Columns as rows `f` of a statement: put it after `from`. */
export function unnest(transaction: Transaction, columns: readonly Column[]): Fragment {
  const arrays = columns
    .map(({ type, text }) => transaction`${text}::${transaction.unsafe(type)}[]`)
    .reduce((all, array) => transaction`${all}, ${array}`)
  const names = columns.map(({ name }) => name)
  return transaction`unnest(${arrays}) as f(${listOf(transaction, names)})`
}

/** Adds what a row would be inserted with (`excluded`) to the one that is there, as `alias`. */
export function addToRow(
  transaction: Transaction,
  { sums, maxima }: AccountShape,
  alias: string,
): Fragment {
  const added = sums.map((name) => `${name} = ${alias}.${name} + excluded.${name}`)
  const raised = maxima.map((name) => `${name} = greatest(${alias}.${name}, excluded.${name})`)
  return transaction.unsafe([...added, ...raised].join(', ')) as unknown as Fragment
}

/** The totals of rows `alias`: sums and maxima, under their own names. */
export function totalOfRows(
  sql: Sql | Transaction,
  { sums, maxima }: AccountShape,
  alias: string,
): Fragment {
  const added = sums.map((name) => `sum(${alias}.${name}) as ${name}`)
  const raised = maxima.map((name) => `max(${alias}.${name}) as ${name}`)
  return sql.unsafe([...added, ...raised].join(', ')) as unknown as Fragment
}
