import { Elysia } from 'elysia'
import type { Principal, Role } from '../auth/roles.ts'
import { findSession } from '../auth/sessions.ts'
import type { Tokens } from '../auth/tokens.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { Admission } from './admission.ts'
import type { Caller } from './caller.ts'
import type { Clients } from './clients.ts'
import { readCookie, refuseCrossOrigin } from './cookie.ts'
import { Problem } from './problem.ts'
import { RETRY_AFTER_S, type UnknownTokenLimiter } from './unknown-tokens.ts'

export type AuthOptions = {
  tokens: Tokens
  attempts: UnknownTokenLimiter
  clients: Clients
  pools: { session: Sql }
  admission: Admission
}

/**
 * Defines the route option `roles`: the roles that may call a route, by token or session cookie.
 * The check runs in `transform`, before the query is validated, and before the body is read,
 * because routes read their bodies themselves. Handlers get the caller as `principal`.
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
            const addressOf = () => options.clients.addressOf({ request, server })
            context.principal = authorize(
              authenticate(options, readToken(header), addressOf),
              roles,
            )
            return undefined
          }
          // Otherwise the browser could show a cached response after the session has ended.
          context.set.headers['cache-control'] = 'no-store'
          // Only this branch returns a promise, so that flushes take no extra turn of the event
          // loop. It passes single members instead of the context, because Elysia builds whatever
          // is named here for every request.
          return options.admission
            .admitQuick({ request, server }, () => authenticateSession(options, request, session))
            .then((caller) => {
              context.principal = authorize(caller, roles)
            })
        },
      }),
    })
}

/** `Bearer` in any case (RFC 9110), spaces, and the token. */
const BEARER = /^bearer +(\S+) *$/i

/** Returns the token in an Authorization header, or null if there is none. */
export const readToken = (header: string | null): string | null =>
  header === null ? null : (BEARER.exec(header)?.[1] ?? null)

/**
 * Returns the principal of a token. Throws problem 401 for an unknown token, and 429 if its network
 * sent too many unknown ones.
 */
export function authenticate(
  { tokens, attempts }: Pick<AuthOptions, 'tokens' | 'attempts'>,
  token: string | null,
  addressOf: () => string,
): Principal {
  const principal = token ? tokens.identify(token) : null
  const isTrusted = principal !== null && attempts.isTrusted(principal.name, token!)
  if (token && !isTrusted && attempts.isActive && attempts.isBlocked(addressOf())) {
    throw new Problem(429, 'too many unknown tokens', 'Too many unknown tokens were sent.', {
      'retry-after': String(RETRY_AFTER_S),
    })
  }
  if (principal === null) {
    if (token) attempts.recordFailure(addressOf())
    throw unauthorized('Send a valid token: `Authorization: Bearer <token>`.')
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
  if (caller === null) throw unauthorized('The session has ended. Sign in again.')
  return caller
}

/** Returns the caller, or throws problem 403 if its role is not one of `roles`. */
export function authorize<Known extends Principal>(caller: Known, roles: readonly Role[]): Known {
  if (roles.includes(caller.role)) return caller
  throw new Problem(403, 'forbidden', `The role \`${caller.role}\` does not permit this.`)
}

const unauthorized = (detail: string) =>
  new Problem(401, 'unauthorized', detail, { 'www-authenticate': 'Bearer realm="tallybook"' })
