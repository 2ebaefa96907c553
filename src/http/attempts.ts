/** Milliseconds after which an address that guessed may guess again. */
const WINDOW_MS = 60_000
/** Addresses that are remembered; beyond them the oldest is forgotten. */
const MAX_ADDRESSES = 10_000

type Failures = { count: number; since: number }

/**
 * Counts the unknown tokens that an address presents. One that has presented too many in a minute
 * is refused whatever it presents next, unless that is a token which this process has taken before:
 * whoever shares an address with a guesser goes on, and a guess that is right shows nothing.
 */
export class Attempts {
  readonly #failures = new Map<string, Failures>()
  readonly #trusted = new Set<string>()

  constructor(private readonly limit: number) {}

  /** False as long as nobody has failed lately: then nobody has to be asked for his address. */
  get isWatching(): boolean {
    return this.#failures.size > 0
  }

  isBlocked(address: string): boolean {
    const failures = this.#failures.get(address)
    if (failures === undefined) return false
    if (performance.now() - failures.since < WINDOW_MS) return failures.count >= this.limit
    this.#failures.delete(address)
    return false
  }

  noteFailure(address: string): void {
    const failures = this.#failures.get(address)
    if (failures !== undefined) {
      failures.count++
      return
    }
    if (this.#failures.size >= MAX_ADDRESSES) {
      for (const [oldest] of this.#failures) {
        this.#failures.delete(oldest)
        break
      }
    }
    this.#failures.set(address, { count: 1, since: performance.now() })
  }

  /** Remembers the name of a token that was right. */
  trust(name: string): void {
    if (!this.#trusted.has(name)) this.#trusted.add(name)
  }

  isTrusted(name: string): boolean {
    return this.#trusted.has(name)
  }
}

/** Seconds after which a refused address is asked to come back. */
export const RETRY_AFTER_S = WINDOW_MS / 1_000
