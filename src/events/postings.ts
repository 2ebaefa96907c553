import type { AccountKind } from './accounts.ts'

/**
 * Postings of one event to accounts of one kind: those from `start` up to `end`, without it, of
 * some columns. `accounts` names the account of each, or one account that all of them are to.
 */
export type Postings = {
  kind: AccountKind
  accounts: readonly (number | string)[] | number | string
  /** What is added, in the order of ACCOUNTS[kind].sums. */
  sums: readonly (readonly number[])[]
  /** In the order of ACCOUNTS[kind].maxima. */
  maxima: readonly (readonly number[])[]
  start: number
  end: number
}

/** Postings of a part: folding so many takes a millisecond or two. */
const PART_POSTINGS = 8_192

/** Cuts what an event counts into parts that add up to it, each with columns of its own. */
export function* cutPostings(
  all: readonly Postings[],
  size = PART_POSTINGS,
): Generator<Postings, undefined> {
  for (const { kind, accounts, sums, maxima, start, end } of all) {
    for (let from = start; from < end; from += size) {
      const to = Math.min(from + size, end)
      const cut = (column: readonly number[]) => column.slice(from, to)
      yield {
        kind,
        accounts: typeof accounts === 'object' ? accounts.slice(from, to) : accounts,
        sums: sums.map(cut),
        maxima: maxima.map(cut),
        start: 0,
        end: to - from,
      }
    }
  }
}
