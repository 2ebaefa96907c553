import { addExact, type Exact } from '../../events/exact.ts'
import { cutRows } from './slices.ts'

/** What a token key has used. */
export type KeySum = {
  hash: string
  requests: Exact
  tokens: Exact
  quotaUsed: Exact
  /** Unix seconds; 0 is never. */
  lastAccessedAt: number
}

/** What one entry of a flush adds. */
export type KeyUse = {
  requests: number
  tokens: number
  lastAccessedAt: number
  /** Whether the tokens use up a quota. */
  tracked: boolean
}

/** Exact sums of token keys by hash; the last access is a maximum. */
export class KeySums {
  readonly #sums = new Map<string, KeySum>()

  /** How many keys there are. */
  get size(): number {
    return this.#sums.size
  }

  add(hash: string, { requests, tokens, lastAccessedAt, tracked }: KeyUse): void {
    let sum = this.#sums.get(hash)
    if (!sum) {
      sum = { hash, requests: 0, tokens: 0, quotaUsed: 0, lastAccessedAt: 0 }
      this.#sums.set(hash, sum)
    }
    sum.requests = addExact(sum.requests, requests)
    sum.tokens = addExact(sum.tokens, tokens)
    if (tracked) sum.quotaUsed = addExact(sum.quotaUsed, tokens)
    sum.lastAccessedAt = Math.max(sum.lastAccessedAt, lastAccessedAt)
  }

  /** Every key that was used, SLICE_ROWS at a time, which are in order. */
  *slices(): Generator<KeySum[]> {
    for (const slice of cutRows(this.#sums.values())) yield slice.sort(byHash)
  }
}

const byHash = (a: KeySum, b: KeySum) => (a.hash < b.hash ? -1 : 1)
