import { Elysia } from 'elysia'
import type { Principal, Role } from '../tokens/roles.ts'
import type { Tokens } from '../tokens/tokens.ts'
import { Problem } from './problem.ts'

/**
 * The route option `roles`: who may call a route. It is decided in `transform`, which comes before
 * the query is validated; routes read their body themselves, so before the body too. A handler
 * finds who calls as `principal`.
 */
export function auth(tokens: Tokens) {
  return new Elysia({ name: 'auth', seed: tokens })
    .decorate('principal', null as unknown as Principal)
    .macro({
      roles: (roles: readonly Role[]) => ({
        detail: { 'x-roles': [...roles] } as object,
        transform(context) {
          context.principal = authorize(tokens, roles, context.request.headers.get('authorization'))
        },
      }),
    })
}

/** `Bearer`, of any case (RFC 9110), spaces, and the token. */
const BEARER = /^bearer +(\S+) *$/i

function authorize(tokens: Tokens, roles: readonly Role[], header: string | null): Principal {
  const token = header === null ? null : BEARER.exec(header)?.[1]
  const principal = token ? tokens.identify(token) : null
  if (principal === null) {
    throw new Problem(401, 'unauthorized', 'Send Authorization: Bearer <token>.', {
      'www-authenticate': 'Bearer realm="tallybook"',
    })
  }
  if (!roles.includes(principal.role)) {
    throw new Problem(403, 'forbidden', `The role ${principal.role} may not do this.`)
  }
  return principal
}
