import { WindowCounts } from './window-counts.ts'

/** Milliseconds after which who guessed may guess again. */
const WINDOW_MS = 60_000
/** All together may present so many times as many as one: many addresses guess no faster. */
const ALL_FACTOR = 100
const ALL = ''
/** Characters from which on a token can't be guessed, however many try. */
const UNGUESSABLE = 32

/**
 * Counts the unknown tokens that a network presents: an address, or of IPv6 the 64 bits before it,
 * which one machine may have to itself. One that has presented too many in a minute is refused
 * whatever it presents next, and everybody is once all together have; unless that is a token which
 * can't be guessed, or which this process has taken before: whoever shares an address with a
 * guesser goes on, and a guess that is right shows nothing.
 */
export class UnknownTokenLimiter {
  readonly #failures = new WindowCounts(WINDOW_MS)
  /** Of all networks together, under ALL. */
  readonly #all = new WindowCounts(WINDOW_MS)
  readonly #trusted = new Set<string>()

  constructor(private readonly limit: number) {}

  /** False as long as nobody has failed lately: then nobody has to be asked for his address. */
  get isActive(): boolean {
    return this.#failures.size > 0
  }

  isBlocked(address: string): boolean {
    if (this.#all.count(ALL) >= this.limit * ALL_FACTOR) return true
    return this.#failures.count(networkOf(address)) >= this.limit
  }

  recordFailure(address: string): void {
    this.#all.add(ALL)
    this.#failures.add(networkOf(address))
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
