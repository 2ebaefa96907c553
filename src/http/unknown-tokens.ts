import { WindowCounts } from './window-counts.ts'

/** Milliseconds in which unknown tokens are counted. */
const WINDOW_MS = 60_000
/** The limit of all networks together, as a multiple of the limit of one. */
const ALL_FACTOR = 100
const ALL = ''
/** The length from which a token can't be guessed, however many clients try. */
const UNGUESSABLE = 32

/**
 * Counts the unknown tokens that each network sends. A network is an IPv4 address or an IPv6 /64,
 * which a single machine may own. After too many unknown tokens in a minute, every token from that
 * network is refused, and from all networks if they exceed the limit together. Two kinds of tokens
 * are still accepted: those too long to guess, and those that this process has accepted before.
 * So clients that share an address with an attacker keep working, and a correct guess reveals
 * nothing.
 */
export class UnknownTokenLimiter {
  readonly #failures = new WindowCounts(WINDOW_MS)
  /** The count of all networks together, under the name ALL. */
  readonly #all = new WindowCounts(WINDOW_MS)
  readonly #trusted = new Set<string>()

  constructor(private readonly limit: number) {}

  /** False if there was no recent failure: then no address needs to be looked up. */
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

  /** Stores the name of a token that was accepted. */
  trust(name: string): void {
    if (!this.#trusted.has(name)) this.#trusted.add(name)
  }

  /** True if the token is too long to guess, or a token of this name was accepted before. */
  isTrusted(name: string, token: string): boolean {
    return token.length >= UNGUESSABLE || this.#trusted.has(name)
  }
}

/**
 * Returns the network of an address: `2001:db8:0:1` for `2001:db8:0:1:2::3`, and an IPv4 address,
 * also an IPv4-mapped one, itself.
 */
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

/** Seconds after which a refused network may retry. */
export const RETRY_AFTER_S = WINDOW_MS / 1_000
