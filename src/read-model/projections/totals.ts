import type { AccountShape } from '../../events/accounts.ts'
import type { Exact } from '../../events/exact.ts'
import type { Postings } from '../../events/postings.ts'

/** What was posted to an account: its values, in the order of its shape's sums and maxima. */
export type Total = { account: number | string; values: Exact[] }

/** Exact totals of the accounts of one kind. Postings of only zeros leave no total. */
export interface Totals {
  readonly shape: AccountShape
  /** Approximate number of accounts. */
  readonly size: number
  /** Adds postings to accounts of this kind. */
  add(postings: Postings): void
  /** Every account that was posted to, in sorted slices of about SLICE_ROWS. */
  slices(): Iterable<Total[]>
}
