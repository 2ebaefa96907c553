import type { AccountShape } from '../../events/accounts.ts'
import type { Exact } from '../../events/exact.ts'
import type { Postings } from '../../events/postings.ts'
import { cutRows } from './slices.ts'
import type { Total, Totals } from './totals.ts'

/** Initial capacity, in accounts. */
const INITIAL_ACCOUNTS = 256

/** Values of an account: three sums, then one maximum. */
const VALUES = 4

/**
 * Totals of accounts with text ids, three sums and one maximum. The values of an account are next
 * to each other in one array of numbers, and one loop without calls adds to all of them: a loop per
 * value takes twice as long. Sums beyond 2^53 - 1 continue as bigints.
 */
export class NameTotals implements Totals {
  /** The index at which the values of an account begin. */
  readonly #places = new Map<string, number>()
  #values = new Float64Array(INITIAL_ACCOUNTS * VALUES)
  /** The overflow of values, by their place. */
  readonly #carried = new Map<number, bigint>()

  constructor(readonly shape: AccountShape) {}

  get size(): number {
    return this.#places.size
  }

  add(postings: Postings): void {
    if (postings.isSigned) this.#addSigned(postings)
    else this.#addCounts(postings)
  }

  #addCounts({ accounts, sums, maxima, start, end }: Postings): void {
    const names = accounts as readonly string[]
    const [first, second, third] = sums as [Column, Column, Column]
    const latest = maxima[0]!
    const places = this.#places
    let values = this.#values
    for (let i = start; i < end; i++) {
      const name = names[i]!
      let at = places.get(name)
      if (at === undefined) {
        if (!first[i] && !second[i] && !third[i] && !latest[i]) continue
        at = this.#insert(name)
        values = this.#values
      }
      const firsts = values[at]! + first[i]!
      const seconds = values[at + 1]! + second[i]!
      const thirds = values[at + 2]! + third[i]!
      if (firsts <= MAX && seconds <= MAX && thirds <= MAX) {
        values[at] = firsts
        values[at + 1] = seconds
        values[at + 2] = thirds
      } else {
        this.#addExactly(at, [first[i]!, second[i]!, third[i]!])
      }
      if (latest[i]! > values[at + 3]!) values[at + 3] = latest[i]!
    }
  }

  #addSigned({ accounts, sums, maxima, start, end }: Postings): void {
    for (let i = start; i < end; i++) {
      const name = (accounts as readonly string[])[i]!
      const added = sums.map((column) => column[i]!)
      const latest = maxima[0]![i]!
      if (latest === 0 && added.every((amount) => amount === 0)) continue
      const at = this.#places.get(name) ?? this.#insert(name)
      this.#addExactly(at, added)
      if (latest > this.#values[at + 3]!) this.#values[at + 3] = latest
    }
  }

  *slices(): Generator<Total[]> {
    for (const slice of cutRows(this.#places)) {
      yield slice.map(([account, at]) => this.#totalOf(account, at)).sort(byName)
    }
  }

  #insert(account: string): number {
    const at = this.#places.size * VALUES
    this.#places.set(account, at)
    if (at === this.#values.length) {
      const larger = new Float64Array(2 * at)
      larger.set(this.#values)
      this.#values = larger
    }
    return at
  }

  #addExactly(at: number, added: readonly number[]): void {
    for (const [k, value] of added.entries()) {
      const sum = this.#values[at + k]! + value
      if (Number.isSafeInteger(sum)) this.#values[at + k] = sum
      else this.#carried.set(at + k, (this.#carried.get(at + k) ?? 0n) + BigInt(value))
    }
  }

  #totalOf(account: string, at: number): Total {
    const values = Array.from(this.#values.subarray(at, at + VALUES), (value, k): Exact => {
      const carried = this.#carried.get(at + k)
      return carried === undefined ? value : carried + BigInt(value)
    })
    return { account, values }
  }
}

type Column = readonly number[]

const MAX = Number.MAX_SAFE_INTEGER

const byName = (a: Total, b: Total) => (a.account < b.account ? -1 : 1)
