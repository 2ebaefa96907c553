import { Elysia } from 'elysia'
import type { Principal, Role } from '../tokens/roles.ts'
import type { Tokens } from '../tokens/tokens.ts'
import { type Attempts, RETRY_AFTER_S } from './attempts.ts'
import { Problem } from './problem.ts'

export type AuthOptions = { tokens: Tokens; attempts: Attempts }

/**
 * The route option `roles`: who may call a route. It is decided in `transform`, which comes before
 * the query is validated; routes read their body themselves, so before the body too. A handler
 * finds who calls as `principal`.
 */
export function auth(options: AuthOptions) {
  return new Elysia({ name: 'auth', seed: options.tokens })
    .decorate('principal', null as unknown as Principal)
    .macro({
      roles: (roles: readonly Role[]) => ({
        detail: { 'x-roles': [...roles] } as object,
        transform(context) {
          const { request, server } = context
          context.principal = authorize(
            options,
            roles,
            request.headers.get('authorization'),
            () => server?.requestIP(request)?.address ?? '',
          )
        },
      }),
    })
}

/** `Bearer`, of any case (RFC 9110), spaces, and the token. */
const BEARER = /^bearer +(\S+) *$/i

function authorize(
  { tokens, attempts }: AuthOptions,
  roles: readonly Role[],
  header: string | null,
  addressOf: () => string,
): Principal {
  const token = header === null ? null : BEARER.exec(header)?.[1]
  const principal = token ? tokens.identify(token) : null
  const isTrusted = principal !== null && attempts.isTrusted(principal.name)
  if (token && !isTrusted && attempts.isWatching && attempts.isBlocked(addressOf())) {
    throw new Problem(429, 'too many unknown tokens', 'Unknown tokens came from this address.', {
      'retry-after': String(RETRY_AFTER_S),
    })
  }
  if (principal === null) {
    if (token) attempts.noteFailure(addressOf())
    throw new Problem(401, 'unauthorized', 'Send Authorization: Bearer <token>.', {
      'www-authenticate': 'Bearer realm="tallybook"',
    })
  }
  attempts.trust(principal.name)
  if (!roles.includes(principal.role)) {
    throw new Problem(403, 'forbidden', `The role ${principal.role} may not do this.`)
  }
  return principal
}
