import { describe } from '../openapi.ts'
import { EventsBody, EventWithEntriesBody, EXAMPLE_EVENT } from './model.ts'

const LINE = JSON.stringify(EXAMPLE_EVENT)

export const eventsDetail = describe({
  tag: 'Audit',
  summary: 'List or stream events in log order',
  description:
    '`Accept` selects the format: a page of JSON, the whole range with one event per line, or ' +
    'the live log as server-sent events. Filters match exactly. `from` is inclusive and `to` ' +
    'exclusive. A live stream starts after `Last-Event-ID`, else after `after`, else at `from`, ' +
    'else with the next event.',
  ok: {
    description: 'A page or a stream',
    schema: EventsBody,
    example: { items: [EXAMPLE_EVENT], next_after: '41' },
    forms: {
      'application/x-ndjson': {
        description:
          'One event per line, up to the heads of the log when the request began. A payload with ' +
          'line breaks is the string `payload_text`. If the connection is reset, the range is ' +
          'incomplete',
        example: `${LINE}\n`,
      },
      'text/event-stream': {
        description:
          'One message per event: its id is the `Last-Event-ID` to resume after it, its data is ' +
          'a line as above. A comment is sent at least every 15 s',
        example: `retry: 1000\nid: 0/40\n\nevent: ApiKeyStatsFlushed\nid: 0/41\ndata: ${LINE}\n\n`,
      },
    },
  },
  headers: ['Vary'],
  errors: [400, 401, 403, 503],
  errorValues: {
    400: ['invalid request', 'invalid query'],
    503: ['too many streams', 'stopping'],
  },
})

export const eventDetail = describe({
  tag: 'Audit',
  summary: 'Get an event, with the entries of a flush or an act as rows',
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
