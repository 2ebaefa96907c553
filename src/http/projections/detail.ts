import { Type } from '@sinclair/typebox'
import { describe } from '../openapi.ts'

const time = Type.String({ format: 'date-time' })
const columns = Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]))

const rebuild = Type.Object({
  generation: Type.Integer(),
  state: Type.String({
    description:
      '`folding`, `comparing`, `live`, `failed`, or `killed` if the rebuild stopped sending ' +
      'heartbeats',
  }),
  started_at: time,
  finished_at: Type.Union([time, Type.Null()]),
  events_folded: Type.Integer(),
  events_total: Type.Integer({ description: 'Events to fold, as far as is known' }),
  drifted_rows: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Live rows that differed from the log; null if they were not compared',
  }),
  drift: Type.Array(
    Type.Object({
      table: Type.String(),
      key: columns,
      live: Type.Union([columns, Type.Null()]),
      rebuilt: Type.Union([columns, Type.Null()]),
    }),
    { description: 'The first 100 rows that differed' },
  ),
  error: Type.Union([Type.String(), Type.Null()]),
})

export const statusDetail = describe({
  tag: 'Admin reads',
  summary: 'Get the state of the projections',
  description:
    'Returns the checkpoint, log head, lag, generation and newest rebuild of each projection, ' +
    'and the events that could not be folded. Snapshots may lag by as many events as a read of ' +
    'the past may fold. Usage may lag by up to a minute while no one reads it.',
  ok: {
    description: 'The projections and the parked events',
    schema: Type.Object({
      items: Type.Array(
        Type.Object({
          name: Type.String(),
          version: Type.Integer({
            description: 'The version of the code that built the live generation',
          }),
          generation: Type.Integer(),
          checkpoint: Type.String({
            description: 'The position of the last folded event, per shard',
          }),
          head: Type.String({ description: 'The position of the last event, per shard' }),
          lag_events: Type.Integer(),
          lag_seconds: Type.Number({ description: 'The age of the oldest event not yet folded' }),
          last_rebuild: Type.Union([time, Type.Null()], {
            description: 'When a rebuild last went live',
          }),
          rebuild: Type.Union([rebuild, Type.Null()], {
            description: 'The newest rebuild, running or ended',
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
  summary: 'Rebuild a projection from the log',
  description:
    'Builds a new generation while readers see the current one, and replaces that once it has ' +
    'caught up. GET /admin/projections shows the progress and the rows that differed.',
  ok: {
    status: 202,
    description: 'Started',
    schema: Type.Object({
      projection: Type.String(),
      replaces: Type.Integer({ description: 'The generation that readers see until then' }),
    }),
    example: { projection: 'api_key_counters', replaces: 1 },
  },
  errors: [400, 401, 403, 404, 409, 503],
  errorValues: { 409: ['rebuild under way'] },
})
