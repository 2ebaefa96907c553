import { describe } from '../openapi.ts'
import { EventsBody, EventWithEntriesBody, EXAMPLE_EVENT } from './model.ts'

const LINE = JSON.stringify(EXAMPLE_EVENT)

export const eventsDetail = describe({
  tag: 'Audit',
  summary: 'Events in the order of the log',
  description:
    'In the form that `Accept` names: a page of JSON; the whole range, a line an event; or the ' +
    'log live, as server-sent events. Filters are exact; `from` and `to` are half open. What is ' +
    'live starts after `Last-Event-ID`, else after `after`, else at `from`, else with the next ' +
    'event.',
  ok: {
    description: 'A page; or a stream',
    schema: EventsBody,
    example: { items: [EXAMPLE_EVENT], next_after: '41' },
    forms: {
      'application/x-ndjson': {
        description:
          'An event a line, up to the heads as they were when the request began. A payload with ' +
          'line breaks is the string `payload_text`. A stream that is broken off is not whole',
        example: `${LINE}\n`,
      },
      'text/event-stream': {
        description:
          'An event each, its id what `Last-Event-ID` resumes after, its data a line as above; a ' +
          'comment at least every 15 s',
        example: `retry: 1000\nid: 0/40\n\nevent: ApiKeyStatsFlushed\nid: 0/41\ndata: ${LINE}\n\n`,
      },
    },
  },
  headers: ['Vary'],
  errors: [400, 401, 403, 503],
  errorValues: { 503: ['database unavailable', 'too many streams', 'stopping'] },
})

export const eventDetail = describe({
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
