import { Type } from '@sinclair/typebox'
import { UNKNOWN_SORTS } from '../../bookkeeping/unknown-keys.ts'
import { Limit, strict } from '../params.ts'

const sorts = Object.keys(UNKNOWN_SORTS)

export const UnknownKeysQuery = Type.Object(
  {
    kind: Type.Union([Type.Literal('api_key'), Type.Literal('key')], {
      description: '`api_key` for API keys, `key` for token keys',
    }),
    limit: Type.Optional(Limit),
    sort: Type.Optional(
      Type.String({
        pattern: `^-?(?:${sorts.join('|')})$`,
        description: 'A field to sort by; a leading minus sorts in descending order',
        openapi: { enum: sorts.flatMap((column) => [column, `-${column}`]) },
      }),
    ),
    cursor: Type.Optional(
      Type.String({
        maxLength: 4_096,
        description: 'The `next_cursor` of the previous page with the same `sort`',
      }),
    ),
  },
  strict,
)

const count = Type.Integer({ description: 'Exact, even above 2^53' })

const seen = {
  requests: count,
  flushes: count,
  first_seen: Type.String({ format: 'date-time' }),
  last_seen: Type.String({ format: 'date-time' }),
}

const UnknownApiKey = Type.Object(
  {
    id: Type.Union([Type.Integer(), Type.Null()]),
    external_id: Type.Union([Type.String(), Type.Null()]),
    ...seen,
  },
  { title: 'UnknownApiKey' },
)

const UnknownTokenKey = Type.Object(
  { token_hash: Type.String(), ...seen },
  { title: 'UnknownTokenKey' },
)

export const UnknownKeysBody = Type.Object(
  {
    items: Type.Array(Type.Union([UnknownApiKey, UnknownTokenKey])),
    next_cursor: Type.Union([Type.String(), Type.Null()]),
    other: Type.Object(
      { requests: count, flushes: count },
      { description: 'The sums over all keys that are not listed' },
    ),
  },
  { title: 'UnknownKeys' },
)

export const AdoptedBody = Type.Object(
  {
    position: Type.Union([Type.String(), Type.Null()], {
      description: 'The position of the adoption; null if there was nothing to count',
    }),
    api_keys: Type.Integer({ description: 'API keys for which something was counted' }),
    keys: Type.Integer({ description: 'Token keys for which something was counted' }),
    requests: count,
  },
  { title: 'Adopted' },
)
