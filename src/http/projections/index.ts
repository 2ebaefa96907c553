import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { formatPositions } from '../../events/positions.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { readParkedEvents, readProjectionStatus } from '../../read-model/projector/status.ts'
import {
  type RebuildRecord,
  readRebuilding,
  readRebuilds,
} from '../../read-model/rebuild/record.ts'
import type { Admission } from '../admission.ts'
import type { auth } from '../auth.ts'
import { jsonResponse } from '../json.ts'
import { NoQuery } from '../params.ts'
import { Problem } from '../problem.ts'
import { rebuildDetail, statusDetail } from './detail.ts'

/** Parked events and differing rows that are listed; the counts include all of them. */
const MAX_LISTED = 100

export type ProjectionsOptions = {
  pools: Pools
  admission: Admission
  /** Starts a rebuild. Returns false if this service is already rebuilding that projection. */
  startRebuild: (projection: string) => boolean
}

/** Serves GET /admin/projections, their state, and POST …/:name/rebuild, which rebuilds one. */
export function projections(
  guard: ReturnType<typeof auth>,
  { pools, admission, startRebuild }: ProjectionsOptions,
) {
  return new Elysia({ name: 'projections' })
    .use(guard)
    .get(
      '/admin/projections',
      async (context) => {
        const [status, rebuilds, parked] = await admission.admitRead(context, () =>
          Promise.all([
            readProjectionStatus(pools.read),
            readRebuilds(pools.read),
            readParkedEvents(pools.read, MAX_LISTED),
          ]),
        )
        return jsonResponse({
          items: status.map((projection) => ({
            name: projection.name,
            version: projection.version,
            generation: projection.generation,
            checkpoint: formatPositions(projection.checkpoint),
            head: formatPositions(projection.head),
            lag_events: projection.lagEvents,
            lag_seconds: projection.lagSeconds,
            last_rebuild: projection.lastRebuild,
            rebuild: toJson(rebuilds.find((rebuild) => rebuild.projection === projection.name)),
          })),
          parked_events: parked,
        })
      },
      { roles: ['admin', 'auditor'], query: NoQuery, detail: statusDetail },
    )
    .post(
      '/admin/projections/:name/rebuild',
      async (context) => {
        const { name } = context.params
        const [status, rebuilding] = await admission.admitRead(context, () =>
          Promise.all([readProjectionStatus(pools.read), readRebuilding(pools.read)]),
        )
        const projection = status.find((one) => one.name === name)
        if (!projection) throw new Problem(404, 'not found')
        if (rebuilding.includes(name) || !startRebuild(name)) {
          throw new Problem(409, 'rebuild under way', 'GET /admin/projections shows its progress.')
        }
        return new Response(JSON.stringify({ projection: name, replaces: projection.generation }), {
          status: 202,
          headers: { 'content-type': 'application/json', location: '/admin/projections' },
        })
      },
      { roles: ['admin'], params: NameParams, query: NoQuery, detail: rebuildDetail },
    )
}

const NameParams = Type.Object({
  name: Type.String({
    maxLength: 64,
    description: 'The name of a projection, as in GET /admin/projections',
    examples: ['api_key_counters'],
  }),
})

/** Returns the newest rebuild, running or ended, or null if there was none. */
function toJson(rebuild: RebuildRecord | undefined) {
  if (rebuild === undefined) return null
  return {
    generation: rebuild.generation,
    state: rebuild.state,
    started_at: rebuild.startedAt,
    finished_at: rebuild.finishedAt,
    events_folded: rebuild.eventsFolded,
    events_total: rebuild.eventsTotal,
    drifted_rows: rebuild.driftedRows,
    drift: rebuild.drift.slice(0, MAX_LISTED),
    error: rebuild.error,
  }
}
