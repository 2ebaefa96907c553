import type { Exact } from '../events/exact.ts'

/** Requests and successes of one id. */
export type Sum = { id: number; requests: Exact; successes: Exact }

/** Ids of one page, and how many pages there are at most: 16 MiB for the first million ids. */
const PAGE = 1_024
const MAX_PAGES = 1_024

/**
 * Exact sums of requests and successes by id. Those of small ids stand in pages of numbers, so that
 * adding touches one line of memory and makes no object: in a service under load, a third of the
 * time of a Map. What passes 2^53 - 1 goes on as a bigint.
 */
export class Sums {
  /** Requests and successes of id `page * PAGE + i` at 2i and 2i + 1. */
  readonly #pages: (Float64Array | undefined)[] = []
  readonly #others = new Map<number, { requests: bigint; successes: bigint }>()

  add(id: number, requests: number, successes: number): void {
    if (requests === 0) return
    const number = Math.floor(id / PAGE)
    if (number >= MAX_PAGES) {
      this.#addOther(id, requests, successes)
      return
    }
    let page = this.#pages[number]
    if (page === undefined) {
      page = new Float64Array(2 * PAGE)
      this.#pages[number] = page
    }
    const at = 2 * (id % PAGE)
    const next = page[at]! + requests
    if (next > Number.MAX_SAFE_INTEGER || page[at + 1]! + successes > Number.MAX_SAFE_INTEGER) {
      this.#addOther(id, page[at]!, page[at + 1]!)
      page[at] = 0
      page[at + 1] = 0
    }
    page[at]! += requests
    page[at + 1]! += successes
  }

  /** Every id that was counted, in order. */
  toSorted(): Sum[] {
    const sums: Sum[] = []
    this.#pages.forEach((page, number) => {
      for (let i = 0; page && i < PAGE; i++) {
        if (page[2 * i] === 0) continue
        const id = number * PAGE + i
        const other = this.#others.get(id)
        const requests = page[2 * i]!
        const successes = page[2 * i + 1]!
        sums.push(
          other
            ? {
                id,
                requests: other.requests + BigInt(requests),
                successes: other.successes + BigInt(successes),
              }
            : { id, requests, successes },
        )
      }
    })
    // Sums of ids without a page; an id that passed the bound has at least one count in its page.
    const others = [...this.#others].filter(([id]) => id >= PAGE * MAX_PAGES)
    for (const [id, sum] of others.sort(([a], [b]) => a - b)) sums.push({ id, ...sum })
    return sums
  }

  #addOther(id: number, requests: number, successes: number): void {
    const sum = this.#others.get(id) ?? { requests: 0n, successes: 0n }
    sum.requests += BigInt(requests)
    sum.successes += BigInt(successes)
    this.#others.set(id, sum)
  }
}
