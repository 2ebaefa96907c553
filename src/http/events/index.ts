import type { Static } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import type { Reads } from '../../cluster/replicas/reads.ts'
import { readEvent, readHeads } from '../../log/read.ts'
import { SingleFlight } from '../../platform/async/single-flight.ts'
import type { Pools, Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Admission, RequestContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import { typedAs } from '../json.ts'
import { chooseType } from '../negotiation.ts'
import { Problem } from '../problem.ts'
import { requestIdOf } from '../request-id.ts'
import { eventDetail, eventsDetail } from './detail.ts'
import { toEventJson, withEntries } from './event-json.ts'
import {
  EventParams,
  type EventsBody,
  EventsHeaders,
  EventsQuery,
  type EventWithEntriesBody,
} from './model.ts'
import { type EventsPage, readNewestPage, readPage } from './page.ts'
import { type EventsRequest, readTimes } from './request.ts'
import type { EventStreams } from './streams.ts'

type EventOptions = {
  pools: Pools
  reads: Reads
  shards: number
  streams: EventStreams
  admission: Admission
}

/** Serves GET /audit/events in the format that the client accepts, and single events. */
export function eventRoutes(
  guard: ReturnType<typeof auth>,
  { pools, reads, shards, streams, admission }: EventOptions,
) {
  const roles = ['admin', 'auditor'] as const
  const heads = new SingleFlight(() => readHeads(pools.control))
  const readHere = <Page>(
    context: RequestContext,
    read: (sql: Sql | Transaction) => Promise<Page>,
  ) =>
    admission.admitRead(context, () =>
      reads.readLog(async () => ({ kind: 'events', positions: await heads.read() }), read),
    )
  const answerPage = async (context: RequestContext, eventsRequest: EventsRequest) =>
    eventsRequest.order === 'desc'
      ? toPageJson(
          await readHere(context, (sql) => readNewestPage(sql, shards, eventsRequest)),
          'next_before',
        )
      : toPageJson(
          await readHere(context, (sql) => readPage(sql, shards, eventsRequest)),
          'next_after',
        )
  return new Elysia({ name: 'audit' })
    .use(guard)
    .get(
      '/audit/events',
      async (context) => {
        const { query, headers, request, principal, set } = context
        const requestId = requestIdOf(set)
        const eventsRequest: EventsRequest = { ...query, ...readTimes(query) }
        const form = chooseType(request, FORMS)
        if (form !== 'application/json' && (query.order ?? query.before) !== undefined) {
          throw new Problem(400, 'invalid query', 'Streams do not support `order` or `before`.')
        }
        switch (form) {
          case 'application/json':
            return answer(form, await answerPage(context, eventsRequest))
          case 'application/x-ndjson':
            return answer(
              form,
              await admission.admitRead(context, () =>
                streams.openRange(principal, eventsRequest, requestId),
              ),
            )
          case 'text/event-stream':
            return answer(
              form,
              await streams.openSubscription(
                principal,
                eventsRequest,
                headers['last-event-id'],
                requestId,
              ),
            )
          default:
            return form satisfies never
        }
      },
      { roles, query: EventsQuery, headers: EventsHeaders, detail: eventsDetail },
    )
    .get(
      '/audit/events/:shard/:position',
      async (context) => {
        const { shard, position } = context.params
        const event = await admission.admitRead(context, () =>
          reads.find((sql) => readEvent(sql, Number(shard), Number(position))),
        )
        if (event === null) throw new Problem(404, 'not found')
        return typedAs<Static<typeof EventWithEntriesBody>>(
          new Response(withEntries(event), { headers: { 'content-type': 'application/json' } }),
        )
      },
      { roles, params: EventParams, detail: eventDetail },
    )
}

/** The formats in which the log can be read. */
const FORMS = ['application/json', 'application/x-ndjson', 'text/event-stream'] as const
type Form = (typeof FORMS)[number]

function answer(form: Form, body: string | ReadableStream) {
  const headers = {
    'content-type': form,
    vary: 'Accept',
    // Keeps proxies such as nginx from buffering the stream.
    ...(typeof body === 'string' ? {} : { 'cache-control': 'no-store', 'x-accel-buffering': 'no' }),
  }
  return typedAs<Static<typeof EventsBody>>(new Response(body, { headers }))
}

function toPageJson({ events, next }: EventsPage, nextName: string): string {
  const items = events.map((event) => toEventJson(event))
  return `{"items":[${items.join(',')}],"${nextName}":${JSON.stringify(next)}}`
}
