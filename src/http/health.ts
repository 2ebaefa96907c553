import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { type Replica, STATES } from '../cluster/replicas/replica.ts'
import { withinOr } from '../platform/async/deadline.ts'
import { SingleFlight } from '../platform/async/single-flight.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Pools } from '../platform/postgres/pool.ts'
import { describe } from './openapi.ts'
import { unavailable } from './problem.ts'

/** The timeout of the readiness check, in milliseconds; probes often wait only a second or two. */
const CHECK_TIMEOUT_MS = 1_000

type HealthOptions = {
  pools: Pools
  reads: { replicas: readonly Replica[] }
  log: { canTake(): Promise<boolean> }
  ahead: { readonly seconds: number | null }
  isStopping: () => boolean
}

/** Serves GET /health/live (the process answers) and /health/ready (it accepts flushes). */
export function health({ pools, reads, log, ahead, isStopping }: HealthOptions) {
  /** Returns `ready`, or the reason why the service is not ready. */
  const checkReady = async () => {
    try {
      // Standbys and read-only servers answer too.
      const [row] = await pools.control<{ writes: boolean }[]>`
        select not pg_is_in_recovery() as writes`
      if (!row!.writes) return 'database read-only'
      return (await log.canTake()) ? 'ready' : 'log unavailable'
    } catch (error) {
      if (isUnavailable(error)) return 'database unavailable'
      throw error
    }
  }
  // A check that hangs on a dead connection makes way for the next one.
  const readiness = new SingleFlight(() =>
    withinOr(CHECK_TIMEOUT_MS, checkReady(), 'database unavailable'),
  )
  return new Elysia({ name: 'health' })
    .get('/health/live', () => ({ status: 'live' }), {
      detail: describe({
        tag: 'Operations',
        open: true,
        summary: 'Check that the process answers',
        ok: { description: 'The process is running', schema: Status, example: { status: 'live' } },
        errors: [],
      }),
    })
    .get(
      '/health/ready',
      async () => {
        if (isStopping()) throw unavailable('stopping')
        const state = await readiness.read()
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
          summary: 'Check that the service accepts flushes',
          description:
            'Fails if the database or the log is unavailable, or if the service is stopping.',
          ok: { description: 'The service is ready', schema: Ready, example: { status: 'ready' } },
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
      description: 'The states of the replicas, if there are any; they do not affect readiness',
    }),
  ),
  log_ahead_seconds: Type.Optional(
    Type.Number({
      description:
        'By how much the time of the newest event is in the future, if it is. New events get the ' +
        'same time until then',
    }),
  ),
})
