import type { AccountShape } from '../../events/accounts.ts'
import type { Postings } from '../../events/postings.ts'
import { SLICE_ROWS } from './slices.ts'
import type { Total, Totals } from './totals.ts'

/** Ids per page, and the maximum number of pages: 8 MiB for the first million ids. */
const PAGE_BITS = 10
const PAGE_IDS = 1 << PAGE_BITS
const MAX_PAGES = 1_024
const MAX_UINT32 = 2 ** 32 - 1

/** Accounts for which a page counts at least, because it takes 8 KiB however few it has. */
const PAGE_SIZE = 16

/**
 * Totals of accounts with numeric ids and two sums. In a flush the second never exceeds the first:
 * such sums of small ids are stored in pages of integers, so that an addition touches one cache
 * line and allocates nothing: under load this takes a third of the time of a Map. Sums above
 * 2^32 - 1, and signed amounts, continue as bigints.
 */
export class IdTotals implements Totals {
  /** The sums of id `page * PAGE_IDS + i` are at 2i and 2i + 1. */
  readonly #pages: (Uint32Array | undefined)[] = []
  readonly #others = new Map<number, [bigint, bigint]>()
  #paged = 0
  #pageCount = 0

  constructor(readonly shape: AccountShape) {}

  /** Counts an account with a sum above 2^32 - 1, or signed amounts, up to twice. */
  get size(): number {
    return Math.max(this.#paged, this.#pageCount * PAGE_SIZE) + this.#others.size
  }

  add(postings: Postings): void {
    if (postings.isSigned) this.#addSigned(postings)
    else this.#addCounts(postings)
  }

  #addCounts({ accounts, sums, start, end }: Postings): void {
    const [first, second] = sums as [readonly number[], readonly number[]]
    if (typeof accounts !== 'object') {
      this.#addRange(accounts as number, first, second, start, end)
      return
    }
    for (let i = start; i < end; i++) this.#add(accounts[i] as number, first[i]!, second[i]!)
  }

  #addSigned({ accounts, sums, start, end }: Postings): void {
    const [first, second] = sums as [readonly number[], readonly number[]]
    for (let i = start; i < end; i++) {
      if (first[i] === 0 && second[i] === 0) continue
      this.#addOther((accounts as readonly number[])[i]!, first[i]!, second[i]!)
    }
  }

  *slices(): Generator<Total[]> {
    let slice: Total[] = []
    for (const [number, page] of this.#pages.entries()) {
      for (let i = 0; page && i < PAGE_IDS; i++) {
        if (page[2 * i] === 0) continue
        slice.push(this.#totalOf(number * PAGE_IDS + i, page[2 * i]!, page[2 * i + 1]!))
      }
      if (slice.length < SLICE_ROWS) continue
      yield slice
      slice = []
    }
    for (const [account, values] of this.#others) {
      if (this.#isPaged(account)) continue
      slice.push({ account, values: [...values] })
      if (slice.length < SLICE_ROWS) continue
      yield slice.sort(byId)
      slice = []
    }
    if (slice.length > 0) yield slice.sort(byId)
  }

  #add(id: number, first: number, second: number): void {
    if (first === 0) return
    if (id >= PAGE_IDS * MAX_PAGES) {
      this.#addOther(id, first, second)
      return
    }
    const number = id >> PAGE_BITS
    let page = this.#pages[number]
    if (page === undefined) {
      page = new Uint32Array(2 * PAGE_IDS)
      this.#pages[number] = page
      this.#pageCount++
    }
    const at = 2 * (id & (PAGE_IDS - 1))
    const firsts = page[at]! + first
    const seconds = page[at + 1]! + second
    if (firsts <= MAX_UINT32 && seconds <= MAX_UINT32) {
      if (page[at] === 0) this.#paged++
      page[at] = firsts
      page[at + 1] = seconds
    } else {
      this.#addOther(id, first, second)
    }
  }

  /** Adds a range of two columns to one id. */
  #addRange(
    id: number,
    first: readonly number[],
    second: readonly number[],
    start: number,
    end: number,
  ): void {
    let firsts = 0
    let seconds = 0
    for (let i = start; i < end; i++) {
      const nextFirsts = firsts + first[i]!
      const nextSeconds = seconds + second[i]!
      if (nextFirsts > Number.MAX_SAFE_INTEGER || nextSeconds > Number.MAX_SAFE_INTEGER) {
        this.#add(id, firsts, seconds)
        firsts = first[i]!
        seconds = second[i]!
      } else {
        firsts = nextFirsts
        seconds = nextSeconds
      }
    }
    this.#add(id, firsts, seconds)
  }

  #totalOf(account: number, first: number, second: number): Total {
    const other = this.#others.get(account)
    if (other === undefined) return { account, values: [first, second] }
    return { account, values: [other[0] + BigInt(first), other[1] + BigInt(second)] }
  }

  #isPaged(id: number): boolean {
    if (id >= PAGE_IDS * MAX_PAGES) return false
    const page = this.#pages[id >> PAGE_BITS]
    return page !== undefined && page[2 * (id & (PAGE_IDS - 1))] !== 0
  }

  #addOther(id: number, first: number, second: number): void {
    const [firsts, seconds] = this.#others.get(id) ?? [0n, 0n]
    this.#others.set(id, [firsts + BigInt(first), seconds + BigInt(second)])
  }
}

const byId = (a: Total, b: Total) => Number(a.account) - Number(b.account)
