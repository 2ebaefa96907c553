import { Elysia } from 'elysia'
import type { Principal, Role } from '../auth/roles.ts'
import { findSession, type Session } from '../auth/sessions.ts'
import type { Tokens } from '../auth/tokens.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { readCookie, refuseCrossOrigin } from './cookie.ts'
import type { Places } from './places.ts'
import { Problem } from './problem.ts'
import { RETRY_AFTER_S, type UnknownTokenLimiter } from './unknown-tokens.ts'

export type AuthOptions = {
  tokens: Tokens
  attempts: UnknownTokenLimiter
  pools: { session: Sql }
  places: Places
}

/** Who calls, as a handler finds him: with his session where he came by one. */
export type Caller = Principal & Partial<Session>

/**
 * The route option `roles`: who may call a route, by his token or his session's cookie. It is
 * decided in `transform`, which comes before the query is validated; routes read their body
 * themselves, so before the body too. A handler finds who calls as `principal`.
 */
export function auth(options: AuthOptions) {
  return new Elysia({ name: 'auth', seed: options.tokens })
    .decorate('principal', null as unknown as Caller)
    .macro({
      roles: (roles: readonly Role[]) => ({
        detail: { 'x-roles': [...roles] } as object,
        transform(context) {
          const { request, server } = context
          const header = request.headers.get('authorization')
          const session = header === null ? readCookie(request) : null
          if (session === null) {
            const addressOf = () => server?.requestIP(request)?.address ?? ''
            context.principal = authorize(
              authenticate(options, readToken(header), addressOf),
              roles,
            )
            return undefined
          }
          // A browser would keep what it was answered, past the end of the session.
          context.set.headers['cache-control'] = 'no-store'
          // Only here a promise: a proxy's flush takes no turn more. And not all of the context:
          // what is named here Elysia makes for every request.
          return options.places
            .takeQuick({ request, server }, () => authenticateSession(options, request, session))
            .then((caller) => {
              context.principal = authorize(caller, roles)
            })
        },
      }),
    })
}

/** `Bearer`, of any case (RFC 9110), spaces, and the token. */
const BEARER = /^bearer +(\S+) *$/i

/** The token of an Authorization header; null where it has none. */
export const readToken = (header: string | null): string | null =>
  header === null ? null : (BEARER.exec(header)?.[1] ?? null)

/** Who has this token. Throws the problem 401, or 429 where its address has guessed too much. */
export function authenticate(
  { tokens, attempts }: Pick<AuthOptions, 'tokens' | 'attempts'>,
  token: string | null,
  addressOf: () => string,
): Principal {
  const principal = token ? tokens.identify(token) : null
  const isTrusted = principal !== null && attempts.isTrusted(principal.name, token!)
  if (token && !isTrusted && attempts.isActive && attempts.isBlocked(addressOf())) {
    throw new Problem(429, 'too many unknown tokens', 'Too many unknown tokens came.', {
      'retry-after': String(RETRY_AFTER_S),
    })
  }
  if (principal === null) {
    if (token) attempts.recordFailure(addressOf())
    throw unauthorized('Send Authorization: Bearer <token>.')
  }
  attempts.trust(principal.name)
  return principal
}

async function authenticateSession(
  { pools, tokens }: Pick<AuthOptions, 'pools' | 'tokens'>,
  request: Request,
  session: string,
): Promise<Caller> {
  refuseCrossOrigin(request)
  const caller = await findSession(pools.session, tokens, session)
  if (caller === null) throw unauthorized('The session has ended: sign in again.')
  return caller
}

/** Throws the problem 403 where none of the roles is the caller's. */
export function authorize<Who extends Principal>(caller: Who, roles: readonly Role[]): Who {
  if (roles.includes(caller.role)) return caller
  throw new Problem(403, 'forbidden', `The role ${caller.role} may not do this.`)
}

const unauthorized = (detail: string) =>
  new Problem(401, 'unauthorized', detail, { 'www-authenticate': 'Bearer realm="tallybook"' })
