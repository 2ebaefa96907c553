import type { AccountShape } from '../../events/accounts.ts'
import type { Exact } from '../../events/exact.ts'
import type { Postings } from '../../events/postings.ts'
import { cutRows } from './slices.ts'
import type { Total, Totals } from './totals.ts'

/** Initial capacity, in accounts. */
const INITIAL_ROWS = 256

/** Stands in for the row of a posting that adds nothing. */
const NO_ROW = -1

/**
 * Totals of accounts with text ids: one row per account, and one column of numbers per value. Sums
 * above 2^53 - 1 continue as bigints.
 */
export class NameTotals implements Totals {
  readonly #rows = new Map<string, number>()
  #columns: Float64Array[]
  /** The overflow of the columns: for each value, by row. */
  readonly #carried: Map<number, bigint>[]
  /** The rows of the postings being added. */
  #added = new Int32Array(INITIAL_ROWS)

  constructor(readonly shape: AccountShape) {
    const values = [...shape.sums, ...shape.maxima]
    this.#columns = values.map(() => new Float64Array(INITIAL_ROWS))
    this.#carried = values.map(() => new Map())
  }

  get size(): number {
    return this.#rows.size
  }

  add(postings: Postings): void {
    const { sums, maxima, start, end } = postings
    const rows = this.#rowsOf(postings)
    for (let k = 0; k < sums.length; k++) {
      addColumn(this.#columns[k]!, this.#carried[k]!, rows, sums[k]!, start, end)
    }
    for (let k = 0; k < maxima.length; k++) {
      raiseColumn(this.#columns[sums.length + k]!, rows, maxima[k]!, start, end)
    }
  }

  *slices(): Generator<Total[]> {
    for (const slice of cutRows(this.#rows)) {
      yield slice.map(([account, row]) => this.#totalOf(account, row)).sort(byName)
    }
  }

  /** Returns the row of each posting, starting at index 0; valid until the next call. */
  #rowsOf({ accounts, sums, maxima, start, end }: Postings): Int32Array {
    if (end - start > this.#added.length) this.#added = new Int32Array(2 * (end - start))
    const rows = this.#added
    const first = sums[0]!
    for (let i = start; i < end; i++) {
      const isNothing = first[i] === 0 && isZero(sums, i) && isZero(maxima, i)
      const account = typeof accounts === 'object' ? accounts[i]! : accounts
      rows[i - start] = isNothing ? NO_ROW : this.#rowOf(account as string)
    }
    return rows
  }

  #rowOf(account: string): number {
    const known = this.#rows.get(account)
    if (known !== undefined) return known
    const row = this.#rows.size
    this.#rows.set(account, row)
    if (row === this.#columns[0]!.length) this.#columns = this.#columns.map(doubled)
    return row
  }

  #totalOf(account: string, row: number): Total {
    const values = this.#columns.map((column, k): Exact => {
      const carried = this.#carried[k]!.get(row)
      return carried === undefined ? column[row]! : carried + BigInt(column[row]!)
    })
    return { account, values }
  }
}

// Plain functions with one loop per column: the JIT compiles these best.

function addColumn(
  column: Float64Array,
  carried: Map<number, bigint>,
  rows: Int32Array,
  added: readonly number[],
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) {
    const row = rows[i - start]!
    if (row === NO_ROW) continue
    const sum = column[row]! + added[i]!
    if (sum <= Number.MAX_SAFE_INTEGER) column[row] = sum
    else carried.set(row, (carried.get(row) ?? 0n) + BigInt(added[i]!))
  }
}

function raiseColumn(
  column: Float64Array,
  rows: Int32Array,
  values: readonly number[],
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) {
    const row = rows[i - start]!
    if (row !== NO_ROW && values[i]! > column[row]!) column[row] = values[i]!
  }
}

function doubled(column: Float64Array): Float64Array {
  const larger = new Float64Array(2 * column.length)
  larger.set(column)
  return larger
}

const isZero = (columns: Postings['sums'], i: number) => columns.every((column) => column[i] === 0)

const byName = (a: Total, b: Total) => (a.account < b.account ? -1 : 1)
