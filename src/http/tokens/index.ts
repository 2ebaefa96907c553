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

type Options = { pools: Pools; tokens: Tokens; bodies: BodyReader; admission: Admission }

/** Serves POST, GET and DELETE under /admin/tokens: the tokens of clients. */
export function tokenRoutes(
  guard: ReturnType<typeof auth>,
  { pools, tokens, bodies, admission }: Options,
) {
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
          const created = isReserved(name) ? null : await createToken(pools.control, name, role)
          if (created !== null) await tokens.refresh(pools.control)
          return created
        })
        if (made === null) throw new Problem(409, 'name taken', `The name ${name} is taken.`)
        set.status = 201
        set.headers['cache-control'] = 'no-store'
        return { name, role, ...made }
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
          const { name } = context.params
          if (!(await revokeToken(pools.control, name))) throw new Problem(404, 'not found')
          await tokens.refresh(pools.control)
          return new Response(null, { status: 204 })
        }),
      { parse: 'none', params: NameParams, roles: ['admin'], detail: details.revoke },
    )
}
