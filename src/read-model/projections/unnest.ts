import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { joinArrays, toArray, toTextArray } from './array.ts'
import type { KeySum } from './key-sums.ts'
import type { Sum } from './sums.ts'

/** The columns of rows, each as PostgreSQL's text of an array. */
export type Columns = readonly string[]

export const sumColumns = (sums: readonly Sum[]): Columns => [
  toArray(sums, ({ id }) => id),
  toArray(sums, ({ requests }) => requests),
  toArray(sums, ({ successes }) => successes),
]

export const keySumColumns = (sums: readonly KeySum[]): Columns => [
  toTextArray(sums, ({ hash }) => hash),
  toArray(sums, ({ requests }) => requests),
  toArray(sums, ({ tokens }) => tokens),
  toArray(sums, ({ quotaUsed }) => quotaUsed),
  toArray(sums, ({ lastAccessedAt }) => lastAccessedAt),
]

/** The columns of all slices together; made of one after the other, with a null after each. */
export function* gatherColumns<Row>(
  slices: Iterable<Row[]>,
  columnsOf: (rows: Row[]) => Columns,
): Generator<null, Columns> {
  const gathered: Columns[] = []
  for (const slice of slices) {
    gathered.push(columnsOf(slice))
    yield null
  }
  return columnsOf([]).map((_, i) => joinArrays(gathered.map((columns) => columns[i]!)))
}

/** Sums as rows of a statement: put it after `from`; they are `f (id, requests, successes)`. */
export function unnestSums(transaction: Transaction, columns: Columns): Fragment {
  const [ids, requests, successes] = columns as [string, string, string]
  return transaction`
    unnest(${ids}::bigint[], ${requests}::numeric[], ${successes}::numeric[])
      as f(id, requests, successes)`
}

/** The same of token keys: `f (token_hash, requests, tokens, quota_used, last_accessed_at)`. */
export function unnestKeySums(transaction: Transaction, columns: Columns): Fragment {
  const [hashes, requests, tokens, quotaUsed, lastAccessedAt] = columns as string[]
  return transaction`
    unnest(
      ${hashes!}::text[],
      ${requests!}::numeric[],
      ${tokens!}::numeric[],
      ${quotaUsed!}::numeric[],
      ${lastAccessedAt!}::bigint[]
    ) as f(token_hash, requests, tokens, quota_used, last_accessed_at)`
}
