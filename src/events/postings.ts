import type { AccountKind } from './accounts.ts'

/**
 * Postings of one event to accounts of one kind: the rows from `start` to `end`, exclusive, of some
 * columns. `accounts` is a column with the account of each row, or one account for all of them.
 */
export type Postings = {
  kind: AccountKind
  accounts: readonly (number | string)[] | number | string
  /** Columns to add, in the order of ACCOUNTS[kind].sums. */
  sums: readonly (readonly number[])[]
  /** Columns whose maximum counts, in the order of ACCOUNTS[kind].maxima. */
  maxima: readonly (readonly number[])[]
  start: number
  end: number
  /**
   * In usage, the time that they are counted at (RFC 3339); null if they are in no hour. Absent:
   * when the event was recorded.
   */
  countedAt?: string | null
  /** True if sums may be negative. */
  isSigned?: boolean
  /** The dimensions and measures of the same rows; absent if none has any. */
  details?: PostedDetails
}

/** Dimensions and measures of postings: `combination` and `values` have the same rows. */
export type PostedDetails = {
  /** Combinations as they are counted (see `formatCombinations`); one may be there twice. */
  combinations: readonly string[]
  /** The index of the combination of each row. */
  combination: readonly number[]
  /** By number, see the catalog. */
  measures: readonly { number: number; values: readonly number[] }[]
}

/** Postings per part: folding this many takes a millisecond or two. */
const PART_POSTINGS = 8_192

/** Splits an event's postings into parts that add up to the same, each with its own columns. */
export function* cutPostings(
  all: readonly Postings[],
  size = PART_POSTINGS,
): Generator<Postings, undefined> {
  for (const { kind, accounts, sums, maxima, start, end, details, ...signs } of all) {
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
        ...signs,
        ...(details && {
          details: {
            combinations: details.combinations,
            combination: cut(details.combination),
            measures: details.measures.map(({ number, values }) => ({
              ...{ number, values: cut(values) },
            })),
          },
        }),
      }
    }
  }
}
