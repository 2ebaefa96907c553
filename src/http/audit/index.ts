import { Elysia } from 'elysia'
import type { Pools } from '../../db/pool.ts'
import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, type StoredEvent } from '../../events/event.ts'
import { toRows } from '../../events/rows.ts'
import { readEvent } from '../../log/read.ts'
import type { auth } from '../auth.ts'
import { describe } from '../openapi.ts'
import { toMoment } from '../params.ts'
import { Problem } from '../problem.ts'
import {
  EventParams,
  EventsBody,
  EventsQuery,
  EventWithEntriesBody,
  EXAMPLE_EVENT,
} from './model.ts'
import { readPage } from './page.ts'

/** GET /audit/events and one event of it: the log as it stands. */
export function audit(
  guard: ReturnType<typeof auth>,
  { pools, shards }: { pools: Pools; shards: number },
) {
  const roles = ['admin', 'auditor'] as const
  return new Elysia({ name: 'audit' })
    .use(guard)
    .get(
      '/audit/events',
      async ({ query }) => {
        const page = await readPage(pools.read, shards, { ...query, ...readTimes(query) })
        if (page === null) throw new Problem(400, 'invalid query', 'There is no such shard.')
        const items = page.events.map((event) => toEventJson(event))
        return new Response(
          `{"items":[${items.join(',')}],"next_after":${JSON.stringify(page.nextAfter)}}`,
          { headers: { 'content-type': 'application/json' } },
        )
      },
      { roles, query: EventsQuery, detail: eventsDetail },
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

/** `from` and `to`, where they are given, as moments. */
function readTimes({ from, to }: { from?: string; to?: string }): { from?: string; to?: string } {
  const moments: { from?: string; to?: string } = {}
  for (const [name, timestamp] of Object.entries({ from, to })) {
    if (timestamp === undefined) continue
    const moment = toMoment(timestamp)
    if (moment === null) throw new Problem(400, 'invalid query', `There is no such time: ${name}.`)
    moments[name as 'from' | 'to'] = moment
  }
  return moments
}

/** The event in JSON, its payload letter by letter as it stands in the log. */
function toEventJson(event: StoredEvent, more = ''): string {
  const row = {
    shard: event.shard,
    position: event.position,
    type: event.type,
    version: event.version,
    recorded_at: event.recordedAt,
    source: event.source,
    idempotency_key: event.idempotencyKey,
    payload_sha256: event.payloadSha256,
  }
  return `${JSON.stringify(row).slice(0, -1)},"payload":${event.payload}${more}}`
}

function readRows({ type, version, payload }: StoredEvent) {
  try {
    return toRows(decodeEvent(type, version, payload))
  } catch (error) {
    if (error instanceof PayloadError) return null
    throw error
  }
}

const eventsDetail = describe({
  tag: 'Audit',
  summary: 'Events in the order of the log',
  description: 'Pages. Filters are exact; `from` and `to` are half open.',
  ok: {
    description: 'A page',
    schema: EventsBody,
    example: { items: [EXAMPLE_EVENT], next_after: '41' },
  },
  errors: [400, 401, 403, 503],
})

const eventDetail = describe({
  tag: 'Audit',
  summary: 'One event, the entries of a flush unfolded into rows',
  ok: {
    description: 'The event',
    schema: EventWithEntriesBody,
    example: {
      ...EXAMPLE_EVENT,
      entries: [{ api_key_id: 7, group_id: 1, requests: 10, success_requests: 9 }],
    },
  },
  errors: [400, 401, 403, 404, 503],
})
