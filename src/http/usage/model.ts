import { Type } from '@sinclair/typebox'
import { AS_OF, KEY_USED, RATED } from '../counters/model.ts'
import { Id, NO_NUL, strict, Timestamp } from '../params.ts'

/** Whose usage: one of them, or none for that of all provider groups. */
export const SCOPE_PARAMS = {
  group_id: Type.Optional({ ...Id, description: 'Of this provider group' }),
  api_key_id: Type.Optional({ ...Id, description: 'Of this API key' }),
  token_hash: Type.Optional(
    Type.String({ maxLength: 1_024, pattern: NO_NUL, description: 'Of this token key' }),
  ),
}

export const UsageQuery = Type.Object(
  {
    from: Type.Optional(Timestamp),
    to: Type.Optional(Timestamp),
    bucket: Type.Optional(
      Type.Union([Type.Literal('hour'), Type.Literal('day')], { description: '`hour` if absent' }),
    ),
    tz: Type.Optional(
      Type.String({
        maxLength: 64,
        pattern: '^[A-Za-z0-9_+:/-]+$',
        description: 'IANA time zone; `UTC` if absent',
        examples: ['Europe/Berlin'],
      }),
    ),
    ...SCOPE_PARAMS,
    format: Type.Optional(
      Type.Union([Type.Literal('json'), Type.Literal('csv')], {
        description: 'As the Accept header says if absent',
      }),
    ),
    ...AS_OF,
  },
  strict,
)

const bounds = {
  from: Type.String({ format: 'date-time', description: 'Included' }),
  to: Type.String({ format: 'date-time', description: 'Not included' }),
}

export const UsageBody = Type.Object(
  {
    bucket: Type.String(),
    tz: Type.String(),
    ...bounds,
    items: Type.Array(
      Type.Union([Type.Object({ ...bounds, ...RATED }), Type.Object({ ...bounds, ...KEY_USED })]),
      { description: 'Every bucket in order, also those in which nothing was counted' },
    ),
    total: Type.Union([Type.Object(RATED), Type.Object(KEY_USED)]),
  },
  { title: 'Usage' },
)
