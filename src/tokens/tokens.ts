import { hash } from 'node:crypto'
import { type Principal, ROLES, type Role } from './roles.ts'

/**
 * The tokens that are known. Only their SHA-256 is held, and a presented token is looked up by its
 * own: how long a look-up takes says nothing about a token.
 */
export class Tokens {
  readonly #principals = new Map<string, Principal>()

  /** One token a role, named after it. */
  constructor(tokens: Record<Role, string>) {
    for (const role of ROLES) {
      this.#principals.set(hash('sha256', tokens[role], 'hex'), { name: role, role })
    }
  }

  /** Who presents this token; null where nobody known does. */
  identify(token: string): Principal | null {
    return this.#principals.get(hash('sha256', token, 'hex')) ?? null
  }
}
