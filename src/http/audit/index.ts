import { Elysia } from 'elysia'
import type { Pools } from '../../db/pool.ts'
import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, type StoredEvent } from '../../events/event.ts'
import { toLeaf } from '../../events/leaf.ts'
import { toRows } from '../../events/rows.ts'
import { readEvent } from '../../log/read.ts'
import type { auth } from '../auth.ts'
import { Problem } from '../problem.ts'
import { chooseForm, type Form } from './accept.ts'
import { eventDetail, eventsDetail } from './detail.ts'
import { EventParams, EventsHeaders, EventsQuery } from './model.ts'
import { type EventsPage, readPage } from './page.ts'
import { type EventsRequest, readTimes } from './request.ts'
import type { AuditStreams } from './streams.ts'

/** GET /audit/events, in the form that the client accepts, and one event of it. */
export function audit(
  guard: ReturnType<typeof auth>,
  { pools, shards, streams }: { pools: Pools; shards: number; streams: AuditStreams },
) {
  const roles = ['admin', 'auditor'] as const
  return new Elysia({ name: 'audit' })
    .use(guard)
    .get(
      '/audit/events',
      async ({ query, headers, request, principal }) => {
        const wanted: EventsRequest = { ...query, ...readTimes(query) }
        const form = chooseForm(request.headers.get('accept'))
        switch (form) {
          case 'application/json':
            return answer(form, toPageJson(await readPage(pools.read, shards, wanted)))
          case 'application/x-ndjson':
            return answer(form, await streams.openRange(principal, wanted))
          case 'text/event-stream':
            return answer(
              form,
              await streams.openFollow(principal, wanted, headers['last-event-id']),
            )
          default:
            return form satisfies never
        }
      },
      { roles, query: EventsQuery, headers: EventsHeaders, detail: eventsDetail },
    )
    .get(
      '/audit/events/:shard/:position',
      async ({ params: { shard, position } }) => {
        const event = await readEvent(pools.read, Number(shard), Number(position))
        if (event === null) throw new Problem(404, 'not found')
        return new Response(toEventJson(event, `,"entries":${JSON.stringify(readRows(event))}`), {
          headers: { 'content-type': 'application/json' },
        })
      },
      { roles, params: EventParams, detail: eventDetail },
    )
}

function answer(form: Form, body: string | ReadableStream): Response {
  const headers = {
    'content-type': form,
    vary: 'Accept',
    // A proxy that collects an answer before it hands it on would hold up a stream.
    ...(typeof body === 'string' ? {} : { 'cache-control': 'no-store', 'x-accel-buffering': 'no' }),
  }
  return new Response(body, { headers })
}

function toPageJson({ events, nextAfter }: EventsPage): string {
  const items = events.map((event) => toEventJson(event))
  return `{"items":[${items.join(',')}],"next_after":${JSON.stringify(nextAfter)}}`
}

/** The event in JSON, its payload letter by letter as it stands in the log. */
function toEventJson(event: StoredEvent, more = ''): string {
  return `${toLeaf(event).slice(0, -1)},"payload":${event.payload}${more}}`
}

function readRows({ type, version, payload }: StoredEvent) {
  try {
    return toRows(decodeEvent(type, version, payload))
  } catch (error) {
    if (error instanceof PayloadError) return null
    throw error
  }
}
