import { Type } from '@sinclair/typebox'
import { Limit, NO_NUL, strict } from '../params.ts'

export const SourcesQuery = Type.Object(
  {
    limit: Type.Optional(Limit),
    cursor: Type.Optional(
      Type.String({ maxLength: 4_096, description: 'The `next_cursor` of the previous page' }),
    ),
  },
  strict,
)

export const SourceParams = Type.Object({
  name: Type.String({
    maxLength: 255,
    pattern: NO_NUL,
    description: 'The name of a token',
    examples: ['proxy-eu-1'],
  }),
})

const exact = (description: string) =>
  Type.Integer({ description: `${description}. Exact, even above 2^53` })
const flushes = Type.Integer({ description: 'Flushes that are in the log' })
const time = (description: string) => Type.String({ format: 'date-time', description })

const EpochModel = Type.Object({
  epoch: Type.String(),
  next: Type.Integer({ description: 'The number after the highest that has arrived' }),
  missing: Type.Array(Type.Array(Type.Integer(), { minItems: 2, maxItems: 2 }), {
    description: 'The numbers below `next` that have not arrived, as ranges: `[[3,4],[7,7]]`',
  }),
  last_flush: time('When its newest flush was recorded'),
  ended: Type.Boolean({ description: 'Its newest flush was marked as the last one' }),
})

export const SourceModel = Type.Object(
  {
    name: Type.String({ description: 'The name of the token' }),
    flushes,
    api_keys: Type.Object({
      flushes,
      requests: exact('As posted, for known and unknown keys'),
      success_requests: exact('As posted'),
    }),
    keys: Type.Object({
      flushes,
      requests: exact('As posted, for known and unknown keys'),
      tokens: exact('As posted'),
    }),
    last_flush: time('When the newest flush was recorded'),
    usual_interval: Type.Union([Type.Number(), Type.Null()], {
      description: 'Seconds between two flushes: the median of the newest 20 intervals',
    }),
    silent: Type.Boolean({
      description:
        'No flush for five usual intervals and ten seconds, though the newest one was not marked ' +
        'as the last. False before the third flush, and once the token is revoked',
    }),
    missing_flushes: Type.Integer({ description: 'How many numbers are missing in all epochs' }),
    epochs: Type.Array(EpochModel, {
      description: 'At most 64, those first whose newest flush is newest',
    }),
  },
  { title: 'Source' },
)

export const SourcesBody = Type.Object(
  { items: Type.Array(SourceModel), next_cursor: Type.Union([Type.String(), Type.Null()]) },
  { title: 'Sources' },
)
