import { Elysia } from 'elysia'
import { beginSession, endSession, findSession, SESSION_S } from '../../auth/sessions.ts'
import { type AuthOptions, authenticate, authorize, readToken } from '../auth.ts'
import { BodyReader } from '../body.ts'
import type { Caller } from '../caller.ts'
import { readCookie, refuseCrossOrigin, writeCookie } from '../cookie.ts'
import { jsonResponse } from '../json.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { WindowCounts } from '../window-counts.ts'
import * as details from './detail.ts'
import { parseSignIn } from './model.ts'

/**
 * Bytes of a body. This is the only body that is read from unknown clients, so they must not be
 * able to use up the memory that large bodies of flushes share.
 */
const BODY_BYTES = 4 * 1024

/** Sign-ins per token and minute: each one is written to the database. */
const MAX_SIGN_INS = 120

type Options = AuthOptions & { basePath: string }

/** Serves POST, GET and DELETE /session: the sessions of browsers. */
export function sessionRoutes(options: Options) {
  const { pools, tokens, basePath, admission, clients } = options
  const bodies = new BodyReader(BODY_BYTES)
  const roles = ['admin', 'auditor'] as const
  const signIns = new WindowCounts(60_000)
  /** Authenticates by the token that was sent, else by the cookie; null if not signed in. */
  const findCaller = async (request: Request, addressOf: () => string): Promise<Caller | null> => {
    const header = request.headers.get('authorization')
    if (header !== null)
      return authorize(authenticate(options, readToken(header), addressOf), roles)
    const caller = await findSession(pools.session, tokens, readCookie(request) ?? '')
    return caller && authorize(caller, roles)
  }
  return new Elysia({ name: 'sessions' })
    .post(
      '/session',
      async (context) => {
        const { request, server, set } = context
        refuseCrossOrigin(request)
        const body = parseSignIn(await bodies.read(request, ''))
        if (typeof body === 'string') throw new Problem(400, 'invalid sign-in', body)
        const addressOf = () => clients.addressOf({ request, server })
        const { name, role } = authorize(authenticate(options, body.token, addressOf), roles)
        if (signIns.count(name) >= MAX_SIGN_INS) {
          throw new Problem(429, 'too many sign-ins', 'This token signed in too often.', {
            'retry-after': String(signIns.secondsLeft(name)),
          })
        }
        signIns.add(name)
        const { id, expiresAt } = await admission.admitQuick(context, () =>
          beginSession(pools.session, name, body.token),
        )
        set.status = 201
        const isSecure = clients.isSecure({ request, server })
        set.headers['set-cookie'] = writeCookie(isSecure, basePath, id, SESSION_S)
        return { name, role, expires_at: expiresAt }
      },
      { parse: 'none', query: NoQuery, detail: details.begin },
    )
    .get(
      '/session',
      async (context) => {
        const { request, server } = context
        const addressOf = () => clients.addressOf({ request, server })
        const caller = await admission.admitQuick(context, () => findCaller(request, addressOf))
        return jsonResponse(
          caller && {
            ...{ name: caller.name, role: caller.role },
            expires_at: caller.expiresAt ?? null,
          },
          { 'cache-control': 'no-store' },
        )
      },
      { query: NoQuery, detail: details.show },
    )
    .delete(
      '/session',
      async (context) => {
        const { request, server } = context
        refuseCrossOrigin(request)
        await admission.admitQuick(context, () =>
          endSession(pools.session, readCookie(request) ?? ''),
        )
        const isSecure = clients.isSecure({ request, server })
        const headers = { 'set-cookie': writeCookie(isSecure, basePath, '', 0) }
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', query: NoQuery, detail: details.end },
    )
}
