import { hash } from 'node:crypto'
import type { Sql } from '../platform/postgres/pool.ts'
import { type Principal, ROLES, type Role } from './roles.ts'
import { readLiveTokens } from './token-store.ts'

/**
 * The known tokens: one fixed token per role, named after it, and those that were created. Holds
 * only their SHA-256 and looks up a presented token by its own, so that the duration of a lookup
 * reveals nothing about a token.
 */
export class Tokens {
  readonly #fixed = new Map<string, Principal>()
  #created = new Map<string, Principal>()
  /** The SHA-256 (hex) of each known token, by name. */
  #hashes = new Map<string, string>()
  /** Number of the refresh that began last, and of the newest one whose result is held. */
  #begun = 0
  #held = 0

  constructor(tokens: Record<Role, string>) {
    for (const role of ROLES) this.#fixed.set(sha256(tokens[role]), { name: role, role })
    this.#nameAll()
  }

  /** Returns the principal of a token, or null if the token is unknown. */
  identify(token: string): Principal | null {
    return this.#identifyHash(sha256(token))
  }

  /** Returns the principal and SHA-256 (hex) of the valid token with this name, or null. */
  findNamed(name: string): { principal: Principal; sha256: string } | null {
    const hash = this.#hashes.get(name)
    const principal = hash === undefined ? null : this.#identifyHash(hash)
    return principal && { principal, sha256: hash! }
  }

  /** True while the token of this name is valid. A name belongs to one token forever. */
  holds({ name }: Principal): boolean {
    return this.#hashes.has(name)
  }

  /** Loads the tokens that were created and not revoked so far, on any instance. */
  async refresh(sql: Sql): Promise<void> {
    const turn = ++this.#begun
    const live = await readLiveTokens(sql)
    // A refresh that began earlier may end later, and would bring back tokens revoked in between.
    if (turn < this.#held) return
    this.#held = turn
    this.#created = new Map(live.map(({ name, role, sha256 }) => [sha256, { name, role }]))
    this.#nameAll()
  }

  #identifyHash(sha256: string): Principal | null {
    return this.#fixed.get(sha256) ?? this.#created.get(sha256) ?? null
  }

  #nameAll(): void {
    const all = [...this.#created, ...this.#fixed]
    this.#hashes = new Map(all.map(([sha256, { name }]) => [name, sha256]))
  }
}

/** Returns the SHA-256 of a text, in hex. */
export const sha256 = (text: string): string => hash('sha256', text, 'hex')
