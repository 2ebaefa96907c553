import { Elysia } from 'elysia'
import type { Pools } from '../../platform/postgres/pool.ts'
import { CursorError } from '../../read-model/queries/keyset-page.ts'
import { readSource, readSources } from '../../sources/read.ts'
import type { Admission, RequestContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import { WAIT_MS } from '../counters/consistent-read.ts'
import { jsonResponse } from '../json.ts'
import { DEFAULT_LIMIT, NoQuery } from '../params.ts'
import { Problem, unavailable } from '../problem.ts'
import * as details from './detail.ts'
import { SourceParams, SourcesQuery } from './model.ts'

type Options = {
  pools: Pools
  admission: Admission
  /** `catchUp` returns false if it takes longer. */
  sources: { catchUp(withinMs: number): Promise<boolean> }
}

/** Serves GET /admin/sources and GET /admin/sources/:name. */
export function sourceRoutes(
  guard: ReturnType<typeof auth>,
  { pools, admission, sources }: Options,
) {
  const reflect = async <Value>(context: RequestContext, read: () => Promise<Value | null>) => {
    if (!(await sources.catchUp(WAIT_MS))) throw unavailable('projections behind')
    const value = await admission.admitRead(context, read)
    if (value === null) throw new Problem(404, 'not found')
    return jsonResponse(value)
  }
  return new Elysia({ name: 'sources' })
    .use(guard)
    .get(
      '/admin/sources',
      async (context) => {
        const { limit = DEFAULT_LIMIT, cursor = null } = context.query
        try {
          const page = { limit: Number(limit), cursor }
          return await reflect(context, () => readSources(pools.read, page))
        } catch (error) {
          if (!(error instanceof CursorError)) throw error
          throw new Problem(400, 'invalid query', '`cursor` is not a `next_cursor` of this list.')
        }
      },
      { roles: ['admin', 'auditor'], query: SourcesQuery, detail: details.list },
    )
    .get(
      '/admin/sources/:name',
      (context) => reflect(context, () => readSource(pools.read, context.params.name)),
      { roles: ['admin', 'auditor'], query: NoQuery, params: SourceParams, detail: details.one },
    )
}
