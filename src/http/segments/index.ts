import { Elysia } from 'elysia'
import type { Pools } from '../../platform/postgres/pool.ts'
import { readSegments } from '../../retention/list.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { DEFAULT_LIMIT } from '../params.ts'
import { Problem } from '../problem.ts'
import { listDetail, SegmentsQuery } from './detail.ts'

type Options = { pools: Pools; admission: Admission }

/** Serves GET /admin/segments: where the segments of the log are. */
export function segmentRoutes(guard: ReturnType<typeof auth>, { pools, admission }: Options) {
  return new Elysia({ name: 'segments' }).use(guard).get(
    '/admin/segments',
    async (context) => {
      const { limit: asked = DEFAULT_LIMIT, cursor } = context.query
      const limit = Number(asked)
      const after = cursor === undefined ? null : readCursor(cursor)
      const rows = await admission.admitRead(context, () =>
        readSegments(pools.read, { limit: limit + 1, after }),
      )
      const items = rows.slice(0, limit)
      const last = items.at(-1)
      const hasMore = rows.length > limit && last !== undefined
      return { items, next_cursor: hasMore ? `${last.shard}/${last.first_position}` : null }
    },
    { roles: ['admin', 'auditor'], query: SegmentsQuery, detail: listDetail },
  )
}

function readCursor(text: string): { shard: number; first: number } {
  const match = /^(\d{1,4})\/(\d{1,16})$/.exec(text)
  if (match !== null) return { shard: Number(match[1]), first: Number(match[2]) }
  throw new Problem(400, 'invalid query', '`cursor` is not a `next_cursor` of this list.')
}
