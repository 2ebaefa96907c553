import { Type } from '@sinclair/typebox'
import { KEY_SORTS } from '../../read-model/queries/keys.ts'
import { RATED_SORTS } from '../../read-model/queries/rated.ts'
import { EXAMPLE_HASH, Id, Limit, NO_NUL, PositionsText, strict, Timestamp } from '../params.ts'

const consistency = Type.Optional(
  Type.Literal('eventual', {
    description: 'Answer at once with what is folded; by default a read waits for all before it',
  }),
)

/** When a read is as of. */
export const AS_OF = {
  consistency,
  as_of: Type.Optional(Timestamp),
  as_of_position: Type.Optional(
    PositionsText(
      'As of then: positions as Tallybook-Position has them; a shard left out stands at its head',
    ),
  ),
}

const ended = Type.Optional(
  Type.Literal('true', { description: 'Also rows that ended; these have `ended_at`' }),
)

/** `sort` of a list: one of its columns, descending with a leading minus. */
const sortOf = (columns: object) =>
  Type.Optional(
    Type.String({
      pattern: `^-?(?:${Object.keys(columns).join('|')})$`,
      description: 'A field of the items; descending with a leading minus',
      openapi: {
        enum: Object.keys(columns).flatMap((column) => [column, `-${column}`]),
      },
    }),
  )

const paging = {
  limit: Type.Optional(Limit),
  cursor: Type.Optional(
    Type.String({ maxLength: 4_096, description: '`next_cursor` of the page before, same sort' }),
  ),
  ended,
  search: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: NO_NUL,
      description: 'Rows whose name holds this, in capitals or not, or whose id begins with it',
    }),
  ),
  ...AS_OF,
}

const attested = Type.Optional(
  Type.Literal('true', { description: 'As the newest attestations in the log say it' }),
)

export const SummaryQuery = Type.Object({ attested, ...AS_OF }, strict)
export const ItemQuery = Type.Object({ ended, ...AS_OF }, strict)
export const ProviderGroupsQuery = Type.Object({ ...paging, sort: sortOf(RATED_SORTS) }, strict)
export const ApiKeysQuery = Type.Object(
  { ...paging, sort: sortOf(RATED_SORTS), group_id: Type.Optional(Id) },
  strict,
)
export const KeysQuery = Type.Object({ ...paging, sort: sortOf(KEY_SORTS) }, strict)

// What is answered, for OpenAPI.

const total = Type.Integer({ minimum: 0, description: 'Exact, also above 2^53' })
const rate = Type.Number({
  minimum: 0,
  maximum: 1,
  description: 'count / total; 0 where total is 0',
})
const name = Type.Union([Type.String(), Type.Null()])
const endedAt = Type.Optional(Type.String({ format: 'date-time' }))

/** Requests with their rates. */
export const RATED = {
  total_requests: total,
  success_requests: total,
  failure_requests: total,
  success_rate: rate,
  failure_rate: rate,
}

/** What a token key has used. */
export const KEY_USED = { request_count: total, used_tokens: total, quota_used: total }

export const SummaryBody = Type.Object(
  {
    ...RATED,
    attestations: Type.Optional(
      Type.Array(Type.Object({ shard: Type.Integer(), position: Type.Integer() }), {
        description: 'With `attested`: the events that say so',
      }),
    ),
  },
  { title: 'Summary' },
)
export const ProviderGroupBody = Type.Object(
  {
    id: Type.Integer(),
    name,
    ...RATED,
    ended_at: endedAt,
  },
  { title: 'ProviderGroup' },
)
export const ApiKeyBody = Type.Object(
  {
    id: Type.Integer(),
    group_id: Type.Integer({ description: '0 is no group' }),
    name,
    ...RATED,
    ended_at: endedAt,
  },
  { title: 'ApiKey' },
)
export const KeyBody = Type.Object(
  {
    token_hash: Type.String(),
    name,
    request_count: total,
    used_tokens: total,
    quota_limit: Type.Integer({ description: 'In tokens; -1 is unlimited' }),
    quota_used: total,
    last_accessed_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
    ended_at: endedAt,
  },
  { title: 'Key' },
)
export const pageOf = <Item extends typeof ProviderGroupBody | typeof ApiKeyBody | typeof KeyBody>(
  item: Item,
) => Type.Object({ items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) })

export const EXAMPLE_RATED = {
  total_requests: 10,
  success_requests: 9,
  failure_requests: 1,
  success_rate: 0.9,
  failure_rate: 0.1,
}
export const EXAMPLE_KEY = {
  token_hash: EXAMPLE_HASH,
  name: 'ci',
  request_count: 10,
  used_tokens: 200,
  quota_limit: 1000,
  quota_used: 200,
  last_accessed_at: '2023-11-14T22:13:20+00:00',
}
