import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { type Replica, STATES } from '../cluster/replicas/replica.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Pools } from '../platform/postgres/pool.ts'
import { describe } from './openapi.ts'
import { unavailable } from './problem.ts'

/** Milliseconds that a look at the database may take: who asks waits for a second or two. */
const POLL_INTERVAL_MS = 1_000

type HealthOptions = {
  pools: Pools
  reads: { replicas: readonly Replica[] }
  log: { canTake(): Promise<boolean> }
  ahead: { readonly seconds: number | null }
  isStopping: () => boolean
}

/** GET /health/live: the process answers. GET /health/ready: it can take a flush. */
export function health({ pools, reads, log, ahead, isStopping }: HealthOptions) {
  /** Ready, or why not. */
  const checkReady = async () => {
    try {
      // Standbys answer, and servers that only read.
      const [row] = await pools.control<{ writes: boolean }[]>`
        select not pg_is_in_recovery() as writes`
      if (!row!.writes) return 'database read-only'
      return (await log.canTake()) ? 'ready' : 'log unavailable'
    } catch (error) {
      if (isUnavailable(error)) return 'database unavailable'
      throw error
    }
  }
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
        const tooLate = Bun.sleep(POLL_INTERVAL_MS).then(() => 'database unavailable')
        const state = await Promise.race([checkReady(), tooLate])
        if (state !== 'ready') throw unavailable(state)
        const { replicas } = reads
        return {
          status: 'ready',
          ...(replicas.length > 0 && { replicas: replicas.map(({ state }) => state) }),
          ...(ahead.seconds && { log_ahead_seconds: ahead.seconds }),
        }
      },
      {
        detail: describe({
          tag: 'Operations',
          open: true,
          summary: 'It can take a flush: the database takes them and it is not stopping',
          ok: { description: 'Ready', schema: Ready, example: { status: 'ready' } },
          errors: [503],
          errorValues: {
            503: ['stopping', 'database unavailable', 'database read-only', 'log unavailable'],
          },
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
  log_ahead_seconds: Type.Optional(
    Type.Number({
      description:
        "Where the newest event's time lies in the future, by how much: until then new ones have" +
        ' that time, too',
    }),
  ),
})
