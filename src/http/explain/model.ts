import { Type } from '@sinclair/typebox'
import { AS_OF } from '../counters/model.ts'
import { Limit, PositionsText, strict } from '../params.ts'
import { SCOPE_PARAMS } from '../usage/model.ts'

const { as_of, as_of_position } = AS_OF

export const ExplainQuery = Type.Object(
  {
    ...SCOPE_PARAMS,
    after: Type.Optional(PositionsText('Flushes after these; `next_after` of the page before')),
    limit: Type.Optional(Limit),
    as_of,
    as_of_position,
  },
  strict,
)

const rated = Type.Object({ requests: Type.Integer(), success_requests: Type.Integer() })
const used = Type.Object({
  requests: Type.Integer(),
  tokens: Type.Integer(),
  quota_used: Type.Integer(),
})
const counted = (description: string) => Type.Union([rated, used], { description })

export const ExplainBody = Type.Object(
  {
    total: counted('What is explained'),
    before: counted('What had been counted before the first item'),
    items: Type.Array(
      Type.Object({
        shard: Type.Integer(),
        position: Type.Integer(),
        recorded_at: Type.String({ format: 'date-time' }),
        source: Type.String({ description: 'Name of the token that posted it' }),
        idempotency_key: Type.Union([Type.String(), Type.Null()]),
        counted: counted('What this flush added'),
        running: counted('The total with it'),
      }),
    ),
    next_after: Type.Union([Type.String(), Type.Null()], {
      description: '`after` of the next page, also where this one is empty; null: nothing more',
    }),
  },
  { title: 'Explanation' },
)
