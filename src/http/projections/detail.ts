import { Type } from '@sinclair/typebox'
import { describe } from '../openapi.ts'

const time = Type.String({ format: 'date-time' })
const columns = Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]))

const rebuild = Type.Object({
  generation: Type.Integer(),
  state: Type.String({
    description: 'folding, comparing, live, failed, or killed: nothing is heard of it any more',
  }),
  started_at: time,
  finished_at: Type.Union([time, Type.Null()]),
  events_folded: Type.Integer(),
  events_total: Type.Integer({ description: 'To fold, as far as it knows' }),
  drifted_rows: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Rows that were not what the log says; null where that was not compared',
  }),
  drift: Type.Array(
    Type.Object({
      table: Type.String(),
      key: columns,
      live: Type.Union([columns, Type.Null()]),
      rebuilt: Type.Union([columns, Type.Null()]),
    }),
    { description: 'The first of them' },
  ),
  error: Type.Union([Type.String(), Type.Null()]),
})

export const statusDetail = describe({
  tag: 'Admin reads',
  summary: 'How the projections stand to the log',
  description:
    'Checkpoint, head, lag, generation and newest rebuild of each, and the events that could ' +
    'not be folded. Snapshots lag by as many events as a read of the past may fold, usage by up ' +
    'to a minute while nobody reads it.',
  ok: {
    description: 'Each projection',
    schema: Type.Object({
      items: Type.Array(
        Type.Object({
          name: Type.String(),
          version: Type.Integer({ description: 'Of the code that made what readers see' }),
          generation: Type.Integer(),
          checkpoint: Type.String({
            description: 'Position of the last event folded, a shard each',
          }),
          head: Type.String({ description: 'Position of the last event in the log, a shard each' }),
          lag_events: Type.Integer(),
          lag_seconds: Type.Number({ description: 'Age of the oldest event not folded' }),
          last_rebuild: Type.Union([time, Type.Null()], { description: 'When one went live' }),
          rebuild: Type.Union([rebuild, Type.Null()], {
            description: 'The newest one, under way or ended',
          }),
        }),
      ),
      parked_events: Type.Object({
        count: Type.Integer(),
        events: Type.Array(
          Type.Object({ shard: Type.Integer(), position: Type.Integer(), reason: Type.String() }),
        ),
      }),
    }),
    example: {
      items: [
        {
          name: 'api_key_counters',
          version: 1,
          generation: 2,
          checkpoint: '0/41',
          head: '0/41',
          lag_events: 0,
          lag_seconds: 0,
          last_rebuild: '2026-01-31T12:00:09.123456+00:00',
          rebuild: {
            generation: 2,
            state: 'live',
            started_at: '2026-01-31T12:00:00.123456+00:00',
            finished_at: '2026-01-31T12:00:09.123456+00:00',
            events_folded: 42,
            events_total: 42,
            drifted_rows: 1,
            drift: [
              {
                table: 'api_key_counters',
                key: { shard: '0', api_key_id: '7' },
                live: { requests: '11', successes: '9' },
                rebuilt: { requests: '10', successes: '9' },
              },
            ],
            error: null,
          },
        },
      ],
      parked_events: { count: 0, events: [] },
    },
  },
  errors: [400, 401, 403, 503],
})

export const rebuildDetail = describe({
  tag: 'Admin reads',
  summary: 'Makes a projection anew from the log',
  description:
    'Beside what readers see, which is replaced when the new one has caught up. Its progress, ' +
    'and the rows that differed, are under GET /admin/projections.',
  ok: {
    status: 202,
    description: 'It has begun',
    schema: Type.Object({
      projection: Type.String(),
      replaces: Type.Integer({ description: 'The generation that readers see meanwhile' }),
    }),
    example: { projection: 'api_key_counters', replaces: 1 },
  },
  errors: [400, 401, 403, 404, 409, 503],
  errorValues: { 409: ['rebuild under way'] },
})
