import type { Exact } from '../../events/exact.ts'
import { SLICE_ROWS } from './slices.ts'

/** Requests and successes of one id. */
export type Sum = { id: number; requests: Exact; successes: Exact }

/** Ids of one page, and how many pages there are at most: 8 MiB for the first million ids. */
const PAGE_BITS = 10
const PAGE = 1 << PAGE_BITS
const MAX_PAGES = 1_024
const MAX_PAGED = 2 ** 32 - 1

/**
 * Exact sums of requests and successes by id. Those of small ids stand in pages of numbers, so that
 * adding touches one line of memory and makes no object: in a service under load, a third of the
 * time of a Map. What passes 2^32 - 1 goes on as a bigint.
 */
export class Sums {
  /** Requests and successes of id `page * PAGE + i` at 2i and 2i + 1. */
  readonly #pages: (Uint32Array | undefined)[] = []
  readonly #others = new Map<number, { requests: bigint; successes: bigint }>()
  #paged = 0

  /** How many ids there are; one of more than 2^32 - 1 requests may be counted twice. */
  get size(): number {
    return this.#paged + this.#others.size
  }

  add(id: number, requests: number, successes: number): void {
    if (requests === 0) return
    if (id >= PAGE * MAX_PAGES) {
      this.#addOther(id, requests, successes)
      return
    }
    const number = id >> PAGE_BITS
    let page = this.#pages[number]
    if (page === undefined) {
      page = new Uint32Array(2 * PAGE)
      this.#pages[number] = page
    }
    const at = 2 * (id & (PAGE - 1))
    const requested = page[at]! + requests
    const succeeded = page[at + 1]! + successes
    if (requested <= MAX_PAGED && succeeded <= MAX_PAGED) {
      if (page[at] === 0) this.#paged++
      page[at] = requested
      page[at + 1] = succeeded
    } else {
      this.#addOther(id, requests, successes)
    }
  }

  /** Adds all of a stretch of two columns to one id. */
  addRange(id: number, requests: number[], successes: number[], from: number, to: number): void {
    let requested = 0
    let succeeded = 0
    for (let i = from; i < to; i++) {
      const nextRequested = requested + requests[i]!
      const nextSucceeded = succeeded + successes[i]!
      if (nextRequested > Number.MAX_SAFE_INTEGER || nextSucceeded > Number.MAX_SAFE_INTEGER) {
        this.add(id, requested, succeeded)
        requested = requests[i]!
        succeeded = successes[i]!
      } else {
        requested = nextRequested
        succeeded = nextSucceeded
      }
    }
    this.add(id, requested, succeeded)
  }

  /** Every id that was counted, about SLICE_ROWS at a time, which are in order. */
  *slices(): Generator<Sum[]> {
    let slice: Sum[] = []
    for (const [number, page] of this.#pages.entries()) {
      for (let i = 0; page && i < PAGE; i++) {
        if (page[2 * i] === 0) continue
        const id = number * PAGE + i
        const sum = { id, requests: page[2 * i]!, successes: page[2 * i + 1]! }
        const other = this.#others.get(id)
        slice.push(other ? plus(sum, other) : sum)
      }
      if (slice.length < SLICE_ROWS) continue
      yield slice
      slice = []
    }
    for (const [id, sum] of this.#others) {
      if (this.#isPaged(id)) continue
      slice.push({ id, ...sum })
      if (slice.length < SLICE_ROWS) continue
      yield slice.sort(byId)
      slice = []
    }
    if (slice.length > 0) yield slice.sort(byId)
  }

  #isPaged(id: number): boolean {
    if (id >= PAGE * MAX_PAGES) return false
    const page = this.#pages[id >> PAGE_BITS]
    return page !== undefined && page[2 * (id & (PAGE - 1))] !== 0
  }

  #addOther(id: number, requests: number, successes: number): void {
    const sum = this.#others.get(id) ?? { requests: 0n, successes: 0n }
    sum.requests += BigInt(requests)
    sum.successes += BigInt(successes)
    this.#others.set(id, sum)
  }
}

const byId = (a: Sum, b: Sum) => a.id - b.id

const plus = (
  { id, requests, successes }: { id: number; requests: number; successes: number },
  other: { requests: bigint; successes: bigint },
): Sum => ({
  id,
  requests: other.requests + BigInt(requests),
  successes: other.successes + BigInt(successes),
})
