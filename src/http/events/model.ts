import { Type } from '@sinclair/typebox'
import { EVENT_TYPES } from '../../events/event.ts'
import { EventLimit, NO_NUL, Position, Shard, strict, Timestamp } from '../params.ts'

const POSITIONS = {
  maxLength: 65_536,
  pattern: '^(?:-1|\\d{1,15}|\\d{1,4}/(?:-1|\\d{1,15})(?:,\\d{1,4}/(?:-1|\\d{1,15}))*)$',
}

export const EventsQuery = Type.Object(
  {
    shard: Type.Optional(
      Type.String({
        pattern: '^(?:all|\\d{1,4})$',
        description: 'A shard (0 if absent), or `all`: merged by time',
      }),
    ),
    after: Type.Optional(
      Type.String({
        ...POSITIONS,
        description:
          'Events after this position; with `shard=all` one a shard, as in Tallybook-Position. ' +
          '`next_after` of the page before',
      }),
    ),
    order: Type.Optional(
      Type.Union([Type.Literal('asc'), Type.Literal('desc')], {
        description: 'Of a page: `desc` has the newest first; `asc` if absent',
      }),
    ),
    before: Type.Optional(
      Type.String({
        ...POSITIONS,
        description: 'With `order=desc`: events before this; `next_before` of the page before',
      }),
    ),
    limit: Type.Optional(EventLimit),
    type: Type.Optional(
      Type.String({
        pattern: `^(?:${Object.keys(EVENT_TYPES).join('|')})$`,
        description: Object.keys(EVENT_TYPES).join(', '),
        openapi: { enum: Object.keys(EVENT_TYPES) },
      }),
    ),
    source: Type.Optional(
      Type.String({
        maxLength: 255,
        pattern: NO_NUL,
        description: 'Name of the token that posted it',
      }),
    ),
    from: Type.Optional(Timestamp),
    to: Type.Optional(Timestamp),
  },
  strict,
)

export const EventsHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      description: 'Of a live stream: the id that came last; it goes on behind it',
      examples: ['0/41'],
    }),
  ),
})

export const EventParams = Type.Object({ shard: Shard, position: Position })

export const EventBody = Type.Object(
  {
    shard: Type.Integer(),
    position: Type.Integer(),
    type: Type.String(),
    version: Type.Integer(),
    recorded_at: Type.String({ format: 'date-time' }),
    source: Type.String(),
    idempotency_key: Type.Union([Type.String(), Type.Null()]),
    payload_sha256: Type.String({ description: "SHA-256 of the payload's bytes, in hex" }),
    payload: Type.Unknown({ description: 'As it stands in the log, letter by letter' }),
  },
  { title: 'Event' },
)

export const EventWithEntriesBody = Type.Composite(
  [
    EventBody,
    Type.Object({
      entries: Type.Union([Type.Array(Type.Record(Type.String(), Type.Unknown())), Type.Null()], {
        description: 'The entries of a flush, a row each; null where it is none or can not be read',
      }),
    }),
  ],
  { title: 'EventWithEntries' },
)

export const EventsBody = Type.Object({
  items: Type.Array(EventBody),
  next_after: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: '`after` of the next page; null where this page is the last for now',
    }),
  ),
  next_before: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'Instead, with `order=desc`: `before` of the next page; null: there is none',
    }),
  ),
})

export const EXAMPLE_EVENT = {
  shard: 0,
  position: 41,
  type: 'ApiKeyStatsFlushed',
  version: 1,
  recorded_at: '2026-01-31T12:00:00.123456+00:00',
  source: 'dp',
  idempotency_key: null,
  payload_sha256: 'a9803e5f77b03e87cf232a8bd3551779953640aa29146e8e3695fa286bb0ce0c',
  payload: { groups: [1], counts: [1], ids: [7], requests: [10], successes: [9] },
}
