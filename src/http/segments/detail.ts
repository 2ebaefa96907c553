import { Type } from '@sinclair/typebox'
import { SEGMENT_STATES } from '../../retention/list.ts'
import { describe } from '../openapi.ts'
import { Limit, strict } from '../params.ts'

export const SegmentsQuery = Type.Object(
  {
    limit: Type.Optional(Limit),
    cursor: Type.Optional(
      Type.String({ maxLength: 32, description: 'The `next_cursor` of the previous page' }),
    ),
  },
  strict,
)

const orNull = (type: ReturnType<typeof Type.String> | ReturnType<typeof Type.Integer>) =>
  Type.Union([type, Type.Null()])
const time = (description: string) => orNull(Type.String({ format: 'date-time', description }))

const SegmentModel = Type.Object(
  {
    shard: Type.Integer(),
    first_position: Type.Integer(),
    end_position: Type.Integer({ description: 'The position after its last one' }),
    state: Type.Union(
      SEGMENT_STATES.map((state) => Type.Literal(state)),
      {
        description:
          '`open`: not full. `full`. `written`: the archive has a verified copy. `leaving`: ' +
          'reads take it from the archive. `archived`: its flushes have left the database',
      },
    ),
    database_bytes: Type.Integer({
      description:
        'Its size in the database, with indexes. Shards share the first one of a database from ' +
        'before segments',
    }),
    file_name: orNull(Type.String({ description: 'Its file in the archive' })),
    file_bytes: orNull(Type.Integer()),
    first_recorded_at: time('When its first event was recorded, if it has a file'),
    last_recorded_at: time('When its last event was recorded, if it has a file'),
    written_at: time('When its file was written and verified'),
    left_at: time('When its flushes left the database'),
    restored_at: time('When it was brought back last'),
  },
  { title: 'Segment' },
)

export const listDetail = describe({
  tag: 'Admin reads',
  summary: 'List the segments of the log',
  description:
    'The log of a shard consists of segments, which move to the archive when they are full and ' +
    'old enough (docs/guides/archive.md). No read notices where a segment is.',
  ok: {
    description: 'A page of segments, in the order of shards and positions',
    schema: Type.Object({
      items: Type.Array(SegmentModel),
      next_cursor: Type.Union([Type.String(), Type.Null()]),
    }),
    example: {
      items: [
        {
          ...{ shard: 0, first_position: 0, end_position: 1_048_576, state: 'archived' },
          database_bytes: 57_344,
          file_name: 'shard-0/0-1048575-5d41402abc4b.segment',
          file_bytes: 271_581_184,
          first_recorded_at: '2026-01-01T00:00:00.123456+00:00',
          last_recorded_at: '2026-01-31T12:00:00.123456+00:00',
          written_at: '2026-01-31T12:01:30.123456+00:00',
          left_at: '2026-03-02T12:06:40.123456+00:00',
          restored_at: null,
        },
      ],
      next_cursor: null,
    },
  },
  errors: [400, 401, 403, 503],
  errorValues: { 400: ['invalid request', 'invalid query'] },
})
