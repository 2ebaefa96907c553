import { hash } from 'node:crypto'
import type { Sql } from '../db/pool.ts'
import { type Principal, ROLES, type Role } from './roles.ts'
import { isReserved, readLiveTokens } from './stored.ts'

/**
 * The tokens that are known: one fixed token a role, named after it, and those that were made. Only
 * their SHA-256 is held, and a presented token is looked up by its own: how long a look-up takes
 * says nothing about a token.
 */
export class Tokens {
  readonly #fixed = new Map<string, Principal>()
  #made = new Map<string, Principal>()
  #names = new Set<string>()

  constructor(tokens: Record<Role, string>) {
    for (const role of ROLES) {
      this.#fixed.set(hash('sha256', tokens[role], 'hex'), { name: role, role })
    }
  }

  /** Who presents this token; null where nobody known does. */
  identify(token: string): Principal | null {
    const sha256 = hash('sha256', token, 'hex')
    return this.#fixed.get(sha256) ?? this.#made.get(sha256) ?? null
  }

  /** True while a token of this name counts: a name belongs to one token for ever. */
  holds({ name }: Principal): boolean {
    return isReserved(name) || this.#names.has(name)
  }

  /** Takes in what was made and revoked until now, on any instance. */
  async refresh(sql: Sql): Promise<void> {
    const live = await readLiveTokens(sql)
    this.#made = new Map(live.map(({ name, role, sha256 }) => [sha256, { name, role }]))
    this.#names = new Set(live.map(({ name }) => name))
  }
}
