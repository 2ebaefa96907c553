import type { Fragment, Transaction } from '../db/pool.ts'
import { toArray, toTextArray } from './array.ts'
import type { KeySum } from './key-sums.ts'
import type { Sum } from './sums.ts'

/** Sums as rows of a statement: put it after `from`; they are `f (id, requests, successes)`. */
export function unnestSums(transaction: Transaction, sums: readonly Sum[]): Fragment {
  return transaction`
    unnest(
      ${toArray(sums, ({ id }) => id)}::bigint[],
      ${toArray(sums, ({ requests }) => requests)}::numeric[],
      ${toArray(sums, ({ successes }) => successes)}::numeric[]
    ) as f(id, requests, successes)`
}

/** The same of token keys: `f (token_hash, requests, tokens, quota_used, last_accessed_at)`. */
export function unnestKeySums(transaction: Transaction, sums: readonly KeySum[]): Fragment {
  return transaction`
    unnest(
      ${toTextArray(sums, ({ hash }) => hash)}::text[],
      ${toArray(sums, ({ requests }) => requests)}::numeric[],
      ${toArray(sums, ({ tokens }) => tokens)}::numeric[],
      ${toArray(sums, ({ quotaUsed }) => quotaUsed)}::numeric[],
      ${toArray(sums, ({ lastAccessedAt }) => lastAccessedAt)}::bigint[]
    ) as f(token_hash, requests, tokens, quota_used, last_accessed_at)`
}
