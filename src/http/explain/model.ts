import { Type } from '@sinclair/typebox'
import { AS_OF } from '../counters/model.ts'
import { Limit, PositionsText, strict } from '../params.ts'
import { SCOPE_PARAMS } from '../usage/model.ts'

const { as_of, as_of_position } = AS_OF

export const ExplainQuery = Type.Object(
  {
    ...SCOPE_PARAMS,
    after: Type.Optional(
      PositionsText(
        'Positions such as `0/41,1/7` after which to list events: the `next_after` of the ' +
          'previous page',
      ),
    ),
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
    total: counted('The total that the events make up'),
    before: counted('The total before the first item'),
    items: Type.Array(
      Type.Object({
        shard: Type.Integer(),
        position: Type.Integer(),
        type: Type.String({
          description:
            'A flush, `BalancesOpened`, `TotalsAdjusted`, `EventReversed` or `QuotaReset`',
        }),
        recorded_at: Type.String({ format: 'date-time' }),
        source: Type.String({ description: 'The name of the token that posted it' }),
        idempotency_key: Type.Union([Type.String(), Type.Null()]),
        counted_at: Type.Optional(
          Type.String({
            format: 'date-time',
            description: 'When the flush was counted; absent if it does not state that',
          }),
        ),
        counted: counted('What this event added; negative if it took something back'),
        running: counted('The total including this event'),
      }),
    ),
    next_after: Type.Union([Type.String(), Type.Null()], {
      description: 'The `after` of the next page, which an empty page has too; null after the last',
    }),
  },
  { title: 'Explanation' },
)
