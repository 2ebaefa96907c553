import { Elysia } from 'elysia'
import { createToken, isReserved, listTokens, revokeToken } from '../../auth/token-store.ts'
import type { Tokens } from '../../auth/tokens.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import type { BodyReader } from '../body.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import * as details from './detail.ts'
import { NameParams, parseTokenBody } from './model.ts'

type Options = {
  pools: Pools
  tokens: Tokens
  bodies: BodyReader
  admission: Admission
  /** Called when shard 0 has grown up to `position`. */
  onAppended: (shard: number, position: number) => void
}

/** Serves POST, GET and DELETE under /admin/tokens: the tokens of clients. */
export function tokenRoutes(
  guard: ReturnType<typeof auth>,
  { pools, tokens, bodies, admission, onAppended }: Options,
) {
  /** Makes a change of the tokens known, which is in the log at `position` of shard 0. */
  const noteChange = async (position: number) => {
    onAppended(0, position)
    await tokens.refresh(pools.control)
    return { 'tallybook-position': `0/${position}` }
  }
  return new Elysia({ name: 'tokens' })
    .use(guard)
    .post(
      '/admin/tokens',
      async (context) => {
        const { request, set, principal } = context
        const body = parseTokenBody(await bodies.read(request, principal.name))
        if (typeof body === 'string') throw new Problem(400, 'invalid token', body)
        const { name, role } = body
        const made = await admission.admitQuick(context, async () => {
          if (isReserved(name)) return null
          const created = await createToken(pools.control, { name, role }, principal.name)
          return created && { ...created, headers: await noteChange(created.position) }
        })
        if (made === null) throw new Problem(409, 'name taken', `The name ${name} is taken.`)
        const { token, created_at, headers } = made
        set.status = 201
        Object.assign(set.headers, headers, { 'cache-control': 'no-store' })
        return { name, role, token, created_at }
      },
      { parse: 'none', roles: ['admin'], query: NoQuery, detail: details.create },
    )
    .get(
      '/admin/tokens',
      (context) =>
        admission.admitRead(context, async () => ({ items: await listTokens(pools.control) })),
      { roles: ['admin', 'auditor'], query: NoQuery, detail: details.list },
    )
    .delete(
      '/admin/tokens/:name',
      (context) =>
        admission.admitQuick(context, async () => {
          const { params, principal } = context
          const position = await revokeToken(pools.control, params.name, principal.name)
          if (position === null) throw new Problem(404, 'not found')
          return new Response(null, { status: 204, headers: await noteChange(position) })
        }),
      { parse: 'none', params: NameParams, roles: ['admin'], detail: details.revoke },
    )
}
