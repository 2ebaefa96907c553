import type { AccountShape } from '../../events/accounts.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { joinArrays, toArray, toTextArray } from './array.ts'
import type { Total } from './totals.ts'

// Fragments of SQL for accounts of any kind. Every name comes from the account's shape.

/** A column of a statement's input rows; `text` is its values as a PostgreSQL array literal. */
export type Column = {
  name: string
  type: 'bigint' | 'numeric' | 'text' | 'timestamptz'
  text: string
}

/** The names of an account's values: sums first, then maxima. */
export const valuesOf = ({ sums, maxima }: AccountShape): readonly string[] => [...sums, ...maxima]

/** A comma-separated list of columns, qualified with `alias` unless it is empty. */
export function listOf(sql: Sql | Transaction, columns: readonly string[], alias = ''): Fragment {
  const prefix = alias === '' ? '' : `${alias}.`
  return sql.unsafe(columns.map((name) => prefix + name).join(', ')) as unknown as Fragment
}

/** Converts the accounts of rows to a column `account`. */
export const accountColumn = <Row>(
  type: 'bigint' | 'text',
  rows: readonly Row[],
  account: (row: Row) => number | string,
): Column => ({
  ...{ name: 'account', type },
  text:
    type === 'text'
      ? toTextArray(rows, (row) => account(row) as string)
      : toArray(rows, (row) => account(row) as number),
})

/** Converts totals to columns: `account`, then the values of the shape. */
export function toColumns(
  { type, sums, maxima }: AccountShape,
  totals: readonly Total[],
): Column[] {
  return [
    accountColumn(type, totals, ({ account }) => account),
    ...[...sums, ...maxima].map((name, i) => ({
      name,
      type: i < sums.length ? ('numeric' as const) : ('bigint' as const),
      text: toArray(totals, ({ values }) => values[i]!),
    })),
  ]
}

/**
 * Converts all slices to one set of columns. Yields after each slice, so that the caller can let
 * other work run.
 */
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

/** Returns the columns as rows `f`, for use after `from`. */
export function unnest(transaction: Transaction, columns: readonly Column[]): Fragment {
  const arrays = columns
    .map(({ type, text }) => transaction`${text}::${transaction.unsafe(type)}[]`)
    .reduce((all, array) => transaction`${all}, ${array}`)
  const names = columns.map(({ name }) => name)
  return transaction`unnest(${arrays}) as f(${listOf(transaction, names)})`
}

/** Assignments for `on conflict do update` that add `excluded` to the existing row `alias`. */
export function addToRow(
  transaction: Transaction,
  { sums, maxima }: AccountShape,
  alias: string,
): Fragment {
  const added = sums.map((name) => `${name} = ${alias}.${name} + excluded.${name}`)
  const raised = maxima.map((name) => `${name} = greatest(${alias}.${name}, excluded.${name})`)
  return transaction.unsafe([...added, ...raised].join(', ')) as unknown as Fragment
}

/** The sums and maxima over rows `alias`, under their own names. */
export function totalOfRows(
  sql: Sql | Transaction,
  { sums, maxima }: AccountShape,
  alias: string,
): Fragment {
  const added = sums.map((name) => `sum(${alias}.${name}) as ${name}`)
  const raised = maxima.map((name) => `max(${alias}.${name}) as ${name}`)
  return sql.unsafe([...added, ...raised].join(', ')) as unknown as Fragment
}
