import { hash } from 'node:crypto'
import type { Sql } from '../platform/postgres/pool.ts'
import { type Principal, ROLES, type Role } from './roles.ts'
import { readLiveTokens } from './token-store.ts'

/**
 * The tokens that are known: one fixed token a role, named after it, and those that were made. Only
 * their SHA-256 is held, and a presented token is looked up by its own: how long a look-up takes
 * says nothing about a token.
 */
export class Tokens {
  readonly #fixed = new Map<string, Principal>()
  #made = new Map<string, Principal>()
  /** By name, of all. */
  #hashes = new Map<string, string>()
  /** Refreshes that have begun, and the newest whose answer is held. */
  #begun = 0
  #held = 0

  constructor(tokens: Record<Role, string>) {
    for (const role of ROLES) this.#fixed.set(sha256(tokens[role]), { name: role, role })
    this.#nameAll()
  }

  /** Who presents this token; null where nobody known does. */
  identify(token: string): Principal | null {
    return this.#identifyHash(sha256(token))
  }

  /** Whose token has this name, and its SHA-256 in hex; null where none that counts has. */
  findNamed(name: string): { principal: Principal; sha256: string } | null {
    const hash = this.#hashes.get(name)
    const principal = hash === undefined ? null : this.#identifyHash(hash)
    return principal && { principal, sha256: hash! }
  }

  /** True while a token of this name counts: a name belongs to one token for ever. */
  holds({ name }: Principal): boolean {
    return this.#hashes.has(name)
  }

  /** Takes in what was made and revoked until now, on any instance. */
  async refresh(sql: Sql): Promise<void> {
    const turn = ++this.#begun
    const live = await readLiveTokens(sql)
    // One that began earlier may end later, and would bring back what was revoked meanwhile.
    if (turn < this.#held) return
    this.#held = turn
    this.#made = new Map(live.map(({ name, role, sha256 }) => [sha256, { name, role }]))
    this.#nameAll()
  }

  #identifyHash(sha256: string): Principal | null {
    return this.#fixed.get(sha256) ?? this.#made.get(sha256) ?? null
  }

  #nameAll(): void {
    const all = [...this.#made, ...this.#fixed]
    this.#hashes = new Map(all.map(([sha256, { name }]) => [name, sha256]))
  }
}

/** Of a text, in hex. */
export const sha256 = (text: string): string => hash('sha256', text, 'hex')
