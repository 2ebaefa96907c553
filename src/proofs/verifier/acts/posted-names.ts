import { quarterHourOf } from '../usage-time.ts'
import { type AdoptedKey, type AdoptedKeys, NameSums, type Stated } from './adopted-keys.ts'
import type { Flush, Resharding } from './resharding.ts'
import type { UnknownEntry } from './unknown-entries.ts'

/** What flushes had posted under a name for an adoption to take. */
type Posted = {
  sums: NameSums
  /** The last access of what the adoption takes, and of all that it covers. */
  accessed: number
  covered: number
}

/**
 * What flushes had posted under the names of adoptions. Each adoption takes what it covers, except
 * what an earlier one has taken or a reversal has withdrawn.
 */
export class PostedNames {
  readonly #posted: ReadonlyMap<AdoptedKey, Posted>

  constructor(
    private readonly names: AdoptedKeys,
    private readonly resharding: Resharding,
    pending: Iterable<AdoptedKey>,
  ) {
    const nothing = () => ({ sums: new NameSums(), accessed: 0, covered: 0 })
    this.#posted = new Map([...pending].map((key) => [key, nothing()]))
  }

  /** Adds the entries of a flush, which a reversal at `withdrawnAt` has withdrawn. */
  add(entries: Iterable<UnknownEntry>, flush: Flush, withdrawnAt: number): void {
    const seen = new Set<Posted>()
    for (const { kind, name, time, requests, seconds, accessed, details } of entries) {
      const keys = this.names.named(kind, name)
      const covering = keys.filter(({ adoption }) => this.resharding.covers(adoption, flush))
      for (const [i, key] of covering.entries()) {
        const posted = this.#posted.get(key)
        if (posted === undefined) continue
        posted.covered = Math.max(posted.covered, accessed)
        if (i > 0 || withdrawnAt < key.adoption.position) continue
        // A flush may name a key several times.
        const flushes = seen.has(posted) ? 0 : 1
        seen.add(posted)
        const counts = [requests, seconds, flushes] as const
        posted.sums.add(this.names.weights, quarterHourOf(time), counts, details)
        posted.accessed = Math.max(posted.accessed, accessed)
      }
    }
  }

  /** Returns how an adoption differs from what was posted under a name, or null if it does not. */
  compare(key: AdoptedKey, { sums, accessed }: Stated): string | null {
    const posted = this.#posted.get(key)!
    const columns = ['requests', key.kind === 'key' ? 'tokens' : 'successes', 'flushes']
    for (const [i, column] of columns.entries()) {
      const [took, had] = [sums.counts[i]!, posted.sums.counts[i]!]
      if (took !== had) return `it took ${took} ${column} of ${key.name}, but had ${had} to take`
    }
    if (sums.weighted !== posted.sums.weighted) {
      return `it took ${key.name} in other quarter hours than it was posted`
    }
    if (sums.weightedDetails !== posted.sums.weightedDetails) {
      return `it took ${key.name} with other dimensions or measures than it was posted`
    }
    // The last access is kept by quarter hour, also that of a flush that was reversed since.
    if (accessed >= posted.accessed && accessed <= posted.covered) return null
    return `it states ${accessed} as the last access of ${key.name}, which is ${posted.accessed}`
  }
}
