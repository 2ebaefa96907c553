import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { NoQuery } from '../params.ts'
import type { LivePositions } from './positions.ts'

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // A proxy that collects an answer before it hands it on would hold up a stream.
  'x-accel-buffering': 'no',
}

/** GET /admin/live: tells, as server-sent events, that the log has grown. */
export function liveRoute(guard: ReturnType<typeof auth>, { live }: { live: LivePositions }) {
  return new Elysia({ name: 'live' })
    .use(guard)
    .get(
      '/admin/live',
      ({ principal }) => new Response(live.open(principal), { headers: HEADERS }),
      { roles: ['admin', 'auditor'], query: NoQuery, detail },
    )
}

const detail = describe({
  tag: 'Admin reads',
  summary: 'That the log has grown',
  description:
    'Server-sent events: the position of the last event of each shard, at once and whenever it ' +
    'has moved, once a second at most. For pages that read again what they show; the events ' +
    'themselves are under GET /audit/events.',
  ok: {
    description: 'A stream without an end',
    type: 'text/event-stream',
    schema: Type.String(),
    example: 'retry: 1000\n\ndata: 0/41,1/7\n\n',
  },
  errors: [400, 401, 403, 503],
  errorValues: { 503: ['too many streams', 'stopping'] },
})
