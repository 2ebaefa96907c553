import { Elysia } from 'elysia'
import { beginSession, endSession, findSession, SESSION_S } from '../../auth/sessions.ts'
import { type AuthOptions, authenticate, authorize, type Caller, readToken } from '../auth.ts'
import { BodyReader } from '../body.ts'
import { readCookie, refuseCrossOrigin, writeCookie } from '../cookie.ts'
import { jsonResponse } from '../json.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { WindowCounts } from '../window-counts.ts'
import * as details from './detail.ts'
import { parseSignIn } from './model.ts'

/**
 * Bytes of a body. It is the one that is read of somebody unknown: he must not take up the room
 * that the large bodies of flushes share.
 */
const BODY_BYTES = 4 * 1024

/** That a token may make in a minute: each is written down. */
const MAX_SIGN_INS = 120

type Options = AuthOptions & { basePath: string }

/** POST, GET and DELETE /session: a browser that is signed in. */
export function sessionRoutes(options: Options) {
  const { pools, tokens, basePath, places } = options
  const bodies = new BodyReader(BODY_BYTES)
  const roles = ['admin', 'auditor'] as const
  const signIns = new WindowCounts(60_000)
  /** By the token that was sent, or by the cookie; null: nobody is signed in. */
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
        const addressOf = () => server?.requestIP(request)?.address ?? ''
        const { name, role } = authorize(authenticate(options, body.token, addressOf), roles)
        if (signIns.count(name) >= MAX_SIGN_INS) {
          throw new Problem(429, 'too many sign-ins', 'This token signs in too often.', {
            'retry-after': String(signIns.secondsLeft(name)),
          })
        }
        signIns.add(name)
        const { id, expiresAt } = await places.takeQuick(context, () =>
          beginSession(pools.session, name, body.token),
        )
        set.status = 201
        set.headers['set-cookie'] = writeCookie(request, basePath, id, SESSION_S)
        return { name, role, expires_at: expiresAt }
      },
      { parse: 'none', query: NoQuery, detail: details.begin },
    )
    .get(
      '/session',
      async (context) => {
        const { request, server } = context
        const addressOf = () => server?.requestIP(request)?.address ?? ''
        const caller = await places.takeQuick(context, () => findCaller(request, addressOf))
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
        const { request } = context
        refuseCrossOrigin(request)
        await places.takeQuick(context, () => endSession(pools.session, readCookie(request) ?? ''))
        const headers = { 'set-cookie': writeCookie(request, basePath, '', 0) }
        return new Response(null, { status: 204, headers })
      },
      { parse: 'none', query: NoQuery, detail: details.end },
    )
}
