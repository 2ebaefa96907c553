import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import type { Pools } from '../db/pool.ts'
import { formatPositions } from '../events/positions.ts'
import { readParkedEvents, readProjectionStatus } from '../projector/status.ts'
import type { auth } from './auth.ts'
import { jsonResponse } from './json.ts'
import { describe } from './openapi.ts'
import { NoQuery } from './params.ts'

/** Parked events that are listed; the count is of all. */
const LISTED_PARKED = 100

/** GET /admin/projections: how each projection stands to the log. */
export function projections(guard: ReturnType<typeof auth>, { pools }: { pools: Pools }) {
  return new Elysia({ name: 'projections' }).use(guard).get(
    '/admin/projections',
    async () => {
      const [status, parked] = await Promise.all([
        readProjectionStatus(pools.read),
        readParkedEvents(pools.read, LISTED_PARKED),
      ])
      return jsonResponse({
        items: status.map((projection) => ({
          name: projection.name,
          generation: projection.generation,
          checkpoint: formatPositions(projection.checkpoint),
          head: formatPositions(projection.head),
          lag_events: projection.lagEvents,
          lag_seconds: projection.lagSeconds,
          last_rebuild: projection.lastRebuild,
        })),
        parked_events: parked,
      })
    },
    { roles: ['admin', 'auditor'], query: NoQuery, detail },
  )
}

const detail = describe({
  tag: 'Admin reads',
  summary: 'How the projections stand to the log',
  description:
    'Checkpoint, head, lag, generation and last rebuild of each, and the events that could ' +
    'not be folded.',
  ok: {
    description: 'Each projection',
    schema: Type.Object({
      items: Type.Array(
        Type.Object({
          name: Type.String(),
          generation: Type.Integer(),
          checkpoint: Type.String({
            description: 'Position of the last event folded, a shard each',
          }),
          head: Type.String({ description: 'Position of the last event in the log, a shard each' }),
          lag_events: Type.Integer(),
          lag_seconds: Type.Number({ description: 'Age of the oldest event not folded' }),
          last_rebuild: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
        }),
      ),
      parked_events: Type.Object({
        count: Type.Integer(),
        events: Type.Array(
          Type.Object({ shard: Type.Integer(), position: Type.Integer(), reason: Type.String() }),
        ),
      }),
    }),
    example: {
      items: [
        {
          name: 'api_key_counters',
          generation: 1,
          checkpoint: '0/41',
          head: '0/41',
          lag_events: 0,
          lag_seconds: 0,
          last_rebuild: null,
        },
      ],
      parked_events: { count: 0, events: [] },
    },
  },
  errors: [400, 401, 403, 503],
})
