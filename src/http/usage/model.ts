import { Type } from '@sinclair/typebox'
import { AS_OF, KEY_USED, RATED } from '../counters/model.ts'
import { Id, NO_NUL, strict, Timestamp } from '../params.ts'

/** The parameters that select one account; without any, all provider groups are selected. */
export const SCOPE_PARAMS = {
  group_id: Type.Optional({ ...Id, description: 'Only this provider group' }),
  api_key_id: Type.Optional({ ...Id, description: 'Only this API key' }),
  token_hash: Type.Optional(
    Type.String({ maxLength: 1_024, pattern: NO_NUL, description: 'Only this token key' }),
  ),
}

export const UsageQuery = Type.Object(
  {
    from: Type.Optional(Timestamp('The start of the range, inclusive')),
    to: Type.Optional(Timestamp('The end of the range, exclusive')),
    bucket: Type.Optional(
      Type.Union([Type.Literal('hour'), Type.Literal('day')], {
        description: 'The length of a bucket, `hour` or `day`; default `hour`',
      }),
    ),
    tz: Type.Optional(
      Type.String({
        maxLength: 64,
        pattern: '^[A-Za-z0-9_+:/-]+$',
        description: 'An IANA time zone; default `UTC`',
        examples: ['Europe/Berlin'],
      }),
    ),
    ...SCOPE_PARAMS,
    format: Type.Optional(
      Type.Union([Type.Literal('json'), Type.Literal('csv')], {
        description: 'The format, `json` or `csv`; by default the Accept header decides',
      }),
    ),
    ...AS_OF,
  },
  strict,
)

const bounds = {
  from: Type.String({ format: 'date-time', description: 'Inclusive' }),
  to: Type.String({ format: 'date-time', description: 'Exclusive' }),
}

export const UsageBody = Type.Object(
  {
    bucket: Type.String(),
    tz: Type.String(),
    ...bounds,
    items: Type.Array(
      Type.Union([Type.Object({ ...bounds, ...RATED }), Type.Object({ ...bounds, ...KEY_USED })]),
      { description: 'Every bucket in order, including those without usage' },
    ),
    total: Type.Union([Type.Object(RATED), Type.Object(KEY_USED)]),
  },
  { title: 'Usage' },
)
