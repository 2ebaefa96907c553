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
        description: 'A shard number, default 0, or `all` to merge all shards by time',
      }),
    ),
    after: Type.Optional(
      Type.String({
        ...POSITIONS,
        description:
          'A position, or with `shard=all` one per shard (`0/41,1/7`), after which to list. ' +
          'Use the `next_after` of the previous page',
      }),
    ),
    order: Type.Optional(
      Type.Union([Type.Literal('asc'), Type.Literal('desc')], {
        description: 'The order of a page: `desc` lists the newest event first; default `asc`',
      }),
    ),
    before: Type.Optional(
      Type.String({
        ...POSITIONS,
        description:
          'With `order=desc`, a position before which to list events. Use the `next_before` of ' +
          'the previous page',
      }),
    ),
    limit: Type.Optional(EventLimit),
    type: Type.Optional(
      Type.String({
        pattern: `^(?:${Object.keys(EVENT_TYPES).join('|')})$`,
        description: `Only events of this type, one of ${Object.keys(EVENT_TYPES).join(', ')}`,
        openapi: { enum: Object.keys(EVENT_TYPES) },
      }),
    ),
    source: Type.Optional(
      Type.String({
        maxLength: 255,
        pattern: NO_NUL,
        description: 'Only events with this source: the name of the token that posted them',
      }),
    ),
    from: Type.Optional(Timestamp('The earliest time of an event')),
    to: Type.Optional(Timestamp('The time before which events must be')),
  },
  strict,
)

export const EventsHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      description: 'The last id that was received; a live stream resumes after it',
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
    payload_sha256: Type.String({ description: 'The SHA-256 of the payload bytes, in hex' }),
    payload: Type.Unknown({ description: 'The payload, byte for byte as in the log' }),
  },
  { title: 'Event' },
)

export const EventWithEntriesBody = Type.Composite(
  [
    EventBody,
    Type.Object({
      entries: Type.Union([Type.Array(Type.Record(Type.String(), Type.Unknown())), Type.Null()], {
        description:
          'One row per entry of a flush, or per account of opening balances and corrections, ' +
          'negative for what was taken back; null for other events and unreadable payloads',
      }),
    }),
  ],
  { title: 'EventWithEntries' },
)

export const EventsBody = Type.Object({
  items: Type.Array(EventBody),
  next_after: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'The `after` of the next page; null if this page is the last for now',
    }),
  ),
  next_before: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'With `order=desc` instead: the `before` of the next page; null after the last',
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
