/** Milliseconds after which who guessed may guess again. */
const WINDOW_MS = 60_000
/** Networks that are remembered; beyond them the oldest is forgotten. */
const MAX_NETWORKS = 10_000
/** All together may present so many times as many as one: many addresses guess no faster. */
const ALL_FACTOR = 100
/** Characters from which on a token can't be guessed, however many try. */
const UNGUESSABLE = 32

type Failures = { count: number; since: number }

/**
 * Counts the unknown tokens that a network presents: an address, or of IPv6 the 64 bits before it,
 * which one machine may have to itself. One that has presented too many in a minute is refused
 * whatever it presents next, and everybody is once all together have; unless that is a token which
 * can't be guessed, or which this process has taken before: whoever shares an address with a
 * guesser goes on, and a guess that is right shows nothing.
 */
export class Attempts {
  readonly #failures = new Map<string, Failures>()
  #all: Failures = { count: 0, since: Number.NEGATIVE_INFINITY }
  readonly #trusted = new Set<string>()

  constructor(private readonly limit: number) {}

  /** False as long as nobody has failed lately: then nobody has to be asked for his address. */
  get isWatching(): boolean {
    return this.#failures.size > 0
  }

  isBlocked(address: string): boolean {
    if (isRecent(this.#all) && this.#all.count >= this.limit * ALL_FACTOR) return true
    const network = networkOf(address)
    const failures = this.#failures.get(network)
    if (failures === undefined) return false
    if (isRecent(failures)) return failures.count >= this.limit
    this.#failures.delete(network)
    return false
  }

  noteFailure(address: string): void {
    if (!isRecent(this.#all)) this.#all = { count: 0, since: performance.now() }
    this.#all.count++
    const network = networkOf(address)
    const failures = this.#failures.get(network)
    if (failures !== undefined && isRecent(failures)) {
      failures.count++
      return
    }
    // As the newest: those before it are older.
    this.#failures.delete(network)
    if (this.#failures.size >= MAX_NETWORKS) {
      const [oldest] = this.#failures.keys()
      this.#failures.delete(oldest!)
    }
    this.#failures.set(network, { count: 1, since: performance.now() })
  }

  /** Remembers the name of a token that was right. */
  trust(name: string): void {
    if (!this.#trusted.has(name)) this.#trusted.add(name)
  }

  /** True for who has shown a token of this name that no guess could have been. */
  isTrusted(name: string, token: string): boolean {
    return token.length >= UNGUESSABLE || this.#trusted.has(name)
  }
}

const isRecent = ({ since }: Failures) => performance.now() - since < WINDOW_MS

/** `2001:db8:0:1` of `2001:db8:0:1:2::3`; an IPv4 address as it is, in whatever form it comes. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped) return mapped[1]!
  if (!address.includes(':')) return address
  const [before = '', after] = address.split('%')[0]!.split('::')
  const head = before === '' ? [] : before.split(':')
  const tail = after === undefined || after === '' ? [] : after.split(':')
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0')
  const groups = after === undefined ? head : [...head, ...zeros, ...tail]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}

/** Seconds after which a refused network is asked to come back. */
export const RETRY_AFTER_S = WINDOW_MS / 1_000
