import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { isUnavailable } from '../db/errors.ts'
import type { Pools } from '../db/pool.ts'
import { type Replica, STATES } from '../replicas/replica.ts'
import { describe } from './openapi.ts'
import { unavailable } from './problem.ts'

type HealthOptions = {
  pools: Pools
  reads: { replicas: readonly Replica[] }
  isStopping: () => boolean
}

/** GET /health/live: the process answers. GET /health/ready: it can take a flush. */
export function health({ pools, reads, isStopping }: HealthOptions) {
  return new Elysia({ name: 'health' })
    .get('/health/live', () => ({ status: 'live' }), {
      detail: describe({
        tag: 'Operations',
        open: true,
        summary: 'The process answers',
        ok: { description: 'Always', schema: Status, example: { status: 'live' } },
        errors: [],
      }),
    })
    .get(
      '/health/ready',
      async () => {
        if (isStopping()) throw unavailable('stopping')
        try {
          await pools.read`select 1`
        } catch (error) {
          throw isUnavailable(error) ? unavailable('database unavailable') : error
        }
        const { replicas } = reads
        if (replicas.length === 0) return { status: 'ready' }
        return { status: 'ready', replicas: replicas.map(({ state }) => state) }
      },
      {
        detail: describe({
          tag: 'Operations',
          open: true,
          summary: 'It can take a flush: the database answers and it is not stopping',
          ok: { description: 'Ready', schema: Ready, example: { status: 'ready' } },
          errors: [503],
          says: { 503: ['stopping', 'database unavailable'] },
        }),
      },
    )
}

const Status = Type.Object({ status: Type.String() })

const Ready = Type.Object({
  status: Type.String(),
  replicas: Type.Optional(
    Type.Array(Type.Union(STATES.map((state) => Type.Literal(state))), {
      description:
        'Of the replicas that it reads from, where it has some; without them it is ready',
    }),
  ),
})
