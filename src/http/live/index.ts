import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { NoQuery } from '../params.ts'
import { requestIdOf } from '../request-id.ts'
import type { LivePositions } from './positions.ts'

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // Keeps proxies such as nginx from buffering the stream.
  'x-accel-buffering': 'no',
}

/** Serves GET /admin/live: server-sent events that report the growth of the log. */
export function liveRoute(guard: ReturnType<typeof auth>, { live }: { live: LivePositions }) {
  return new Elysia({ name: 'live' })
    .use(guard)
    .get(
      '/admin/live',
      ({ principal, set }) =>
        new Response(live.open(principal, requestIdOf(set)), { headers: HEADERS }),
      { roles: ['admin', 'auditor'], query: NoQuery, detail },
    )
}

const detail = describe({
  tag: 'Admin reads',
  summary: 'Stream notifications that the log has grown',
  description:
    'Sends the position of the last event of each shard as server-sent events: at once, and then ' +
    'after changes, at most once per second. Meant for pages that refresh what they show. GET ' +
    '/audit/events streams the events themselves.',
  ok: {
    description: 'An endless stream',
    type: 'text/event-stream',
    schema: Type.String(),
    example: 'retry: 1000\n\ndata: 0/41,1/7\n\n',
  },
  errors: [400, 401, 403, 503],
  errorValues: { 503: ['too many streams', 'stopping'] },
})
