import { createHmac, randomBytes } from 'node:crypto'

/** Requests, successes or tokens, and flushes. */
export type Counts = readonly [number, number, number]

/**
 * Adds up counts of many quarter hours in one number, weighted by quarter hour. The weights are
 * random numbers of 128 bits that nobody knows: two such sums are the same only if the counts of
 * every quarter hour are, or with a probability of 2^-128.
 */
export class QuarterWeights {
  readonly #key = randomBytes(32)
  #quarter = ''
  #weights: readonly bigint[] = []
  #place = ''
  #ofPlace: bigint[] = []

  /** Returns what counts of a quarter hour add to a sum. */
  weigh(quarter: string, counts: Counts): bigint {
    if (quarter !== this.#quarter) {
      this.#quarter = quarter
      this.#weights = counts.map((_, column) => this.#weightOf(`${column} ${quarter}`))
    }
    return counts.reduce((sum, count, i) => sum + this.#weights[i]! * BigInt(count), 0n)
  }

  /**
   * Returns what values with a combination add to a sum: requests, successes or tokens, and then
   * measures.
   */
  weighDetails(quarter: string, combination: string, values: readonly number[]): bigint {
    const place = `${quarter} ${combination}`
    if (place !== this.#place) {
      this.#place = place
      this.#ofPlace = []
    }
    return values.reduce((sum, value, i) => {
      if (value === 0) return sum
      this.#ofPlace[i] ??= this.#weightOf(`${i} ${place}`)
      return sum + this.#ofPlace[i] * BigInt(value)
    }, 0n)
  }

  #weightOf(text: string): bigint {
    const digest = createHmac('sha256', this.#key).update(text).digest('hex')
    return BigInt(`0x${digest.slice(0, 32)}`)
  }
}
