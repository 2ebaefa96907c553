import { type TSchema, Type } from '@sinclair/typebox'
import { KEY_SORTS } from '../../read-model/queries/keys.ts'
import { RATED_SORTS } from '../../read-model/queries/rated.ts'
import { EXAMPLE_HASH, Id, Limit, NO_NUL, PositionsText, strict, Timestamp } from '../params.ts'

const consistency = Type.Optional(
  Type.Literal('eventual', {
    description:
      '`eventual` answers at once with what is folded so far. By default a read waits until it ' +
      'reflects every earlier flush',
  }),
)

/** The query parameters that select the state to read. */
export const AS_OF = {
  consistency,
  as_of: Type.Optional(Timestamp('The time as of which to read')),
  as_of_position: Type.Optional(
    PositionsText(
      'The positions at which to read, in the form of Tallybook-Position (`0/41,1/7`). A shard ' +
        'that is left out is read at its head',
    ),
  ),
}

const ended = Type.Optional(
  Type.Literal('true', { description: '`true` includes retired rows, which have `ended_at`' }),
)

/** The `sort` parameter of a list: one of its columns, descending with a leading minus. */
export const sortOf = (columns: object) =>
  Type.Optional(
    Type.String({
      pattern: `^-?(?:${Object.keys(columns).join('|')})$`,
      description: 'A field to sort by; a leading minus sorts in descending order',
      openapi: {
        enum: Object.keys(columns).flatMap((column) => [column, `-${column}`]),
      },
    }),
  )

/** The other parameters of a list. */
export const paging = {
  limit: Type.Optional(Limit),
  cursor: Type.Optional(
    Type.String({
      maxLength: 4_096,
      description: 'The `next_cursor` of the previous page with the same `sort`',
    }),
  ),
  ended,
  search: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: NO_NUL,
      description:
        'Text that the name contains, in either case, or that the id, `external_id` or ' +
        '`token_hash` begins with; 1 to 255 characters',
    }),
  ),
  ...AS_OF,
}

const attested = Type.Optional(
  Type.Literal('true', { description: '`true` returns the totals of the newest attestations' }),
)

export const SummaryQuery = Type.Object({ attested, ...AS_OF }, strict)
export const ItemQuery = Type.Object({ ended, ...AS_OF }, strict)
const external_id = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 1_024,
    pattern: NO_NUL,
    description: 'Only the row with this external id',
  }),
)
const rated = { ...paging, sort: sortOf(RATED_SORTS), external_id }
export const ProviderGroupsQuery = Type.Object(rated, strict)
const GroupId = { ...Id, description: 'Only the API keys of this provider group; 0 for no group' }
export const ApiKeysQuery = Type.Object({ ...rated, group_id: Type.Optional(GroupId) }, strict)
export const KeysQuery = Type.Object({ ...paging, sort: sortOf(KEY_SORTS) }, strict)

// The schemas of the responses, for OpenAPI.

const total = Type.Integer({ minimum: 0, description: 'Exact, even above 2^53' })
const rate = Type.Number({
  minimum: 0,
  maximum: 1,
  description: 'The count divided by the total; 0 if the total is 0',
})
const name = Type.Union([Type.String(), Type.Null()])
const externalId = Type.Union([Type.String(), Type.Null()], {
  description: 'The name that the gateway uses; null if there is none',
})
/** When a retired row was retired. */
export const endedAt = Type.Optional(Type.String({ format: 'date-time' }))

/** The fields of request counts with their rates. */
export const RATED = {
  total_requests: total,
  success_requests: total,
  failure_requests: total,
  success_rate: rate,
  failure_rate: rate,
}

/** Totals of measures by name, once one was declared. */
export const MEASURED = Type.Optional(
  Type.Record(Type.String(), total, { description: 'Present once a measure was declared' }),
)

/** The fields of a token key's usage. */
export const KEY_USED = { request_count: total, used_tokens: total, quota_used: total }

export const SummaryBody = Type.Object(
  {
    ...RATED,
    attestations: Type.Optional(
      Type.Array(Type.Object({ shard: Type.Integer(), position: Type.Integer() }), {
        description: 'With `attested`: the events that the totals come from',
      }),
    ),
  },
  { title: 'Summary' },
)
export const ProviderGroupBody = Type.Object(
  {
    id: Type.Integer(),
    external_id: externalId,
    name,
    ...RATED,
    measures: MEASURED,
    ended_at: endedAt,
  },
  { title: 'ProviderGroup' },
)
export const ApiKeyBody = Type.Object(
  {
    id: Type.Integer(),
    external_id: externalId,
    group_id: Type.Integer({ description: 'The provider group; 0 for none' }),
    name,
    ...RATED,
    measures: MEASURED,
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
    quota_limit: Type.Integer({ description: 'A limit in tokens; -1 is unlimited' }),
    quota_used: {
      ...total,
      description:
        'Tokens used since the last reset or, with a period, since that began if that was later',
    },
    last_accessed_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
    measures: MEASURED,
    ended_at: endedAt,
    quota_period: Type.Optional(
      Type.String({
        description: 'How often the quota begins anew; absent if never',
        openapi: { enum: ['none', 'day', 'week', 'month'] },
      }),
    ),
    quota_tz: Type.Optional(Type.String({ description: 'The IANA time zone of the period' })),
    quota_period_start: Type.Optional(
      Type.String({ format: 'date-time', description: 'When the current period began' }),
    ),
    quota_resets_at: Type.Optional(
      Type.String({ format: 'date-time', description: 'When the next period begins' }),
    ),
  },
  { title: 'Key' },
)
export const pageOf = <Item extends TSchema>(item: Item) =>
  Type.Object({ items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) })

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
