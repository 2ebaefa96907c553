import { type TProperties, Type } from '@sinclair/typebox'
import { AS_OF, KEY_USED, MEASURED, RATED } from '../counters/model.ts'
import { Id, NO_NUL, strict, Timestamp } from '../params.ts'
import { LARGEST_BY } from './division.ts'

/** The parameters that select one account; without any, all provider groups are selected. */
export const SCOPE_PARAMS = {
  group_id: Type.Optional({ ...Id, description: 'Only this provider group' }),
  api_key_id: Type.Optional({ ...Id, description: 'Only this API key' }),
  token_hash: Type.Optional(
    Type.String({ maxLength: 1_024, pattern: NO_NUL, description: 'Only this token key' }),
  ),
}

const Dimensions = (description: string) =>
  Type.String({ maxLength: 129, pattern: '^[a-z][a-z0-9_]*(?:,[a-z][a-z0-9_]*)?$', description })

const Limit = (description: string) =>
  Type.String({ pattern: '^(?:[1-9]\\d{0,2}|1000)$', description })

const LargestBy = Type.String({
  pattern: LARGEST_BY,
  description:
    'What makes a value large: a count by its name in the answer, or `measures.` and the name of ' +
    'a measure. By default the requests',
  examples: ['measures.cost_micros'],
})

export const UsageQuery = Type.Object(
  {
    from: Type.Optional(Timestamp('The start of the range, inclusive')),
    to: Type.Optional(Timestamp('The end of the range, exclusive')),
    bucket: Type.Optional(
      Type.Union([Type.Literal('hour'), Type.Literal('day'), Type.Literal('month')], {
        description: 'The length of a bucket, `hour`, `day` or `month`; default `hour`',
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
    group_by: Type.Optional(
      Dimensions('Divide each bucket by the values of these dimensions: one, or two with a comma'),
    ),
    limit: Type.Optional(Limit('How many values to keep apart; the rest is `other`. Default 20')),
    largest_by: Type.Optional(LargestBy),
    format: Type.Optional(
      Type.Union([Type.Literal('json'), Type.Literal('csv')], {
        description: 'The format, `json` or `csv`; by default the Accept header decides',
      }),
    ),
    ...AS_OF,
  },
  strict,
)

export const BreakdownQuery = Type.Object(
  {
    by: Dimensions('One or two dimensions, separated by a comma'),
    from: UsageQuery.properties.from,
    to: UsageQuery.properties.to,
    tz: UsageQuery.properties.tz,
    ...SCOPE_PARAMS,
    limit: Type.Optional({
      ...Limit('How many values to keep apart; the rest is `other`. At most 998, the default'),
      pattern: '^(?:[1-9]\\d?|[1-8]\\d\\d|9[0-8]\\d|99[0-8])$',
    }),
    largest_by: UsageQuery.properties.largest_by,
    format: UsageQuery.properties.format,
    ...AS_OF,
  },
  strict,
)

const bounds = {
  from: Type.String({ format: 'date-time', description: 'Inclusive' }),
  to: Type.String({ format: 'date-time', description: 'Exclusive' }),
}

const DIMENSIONS = Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]), {
  description: 'A value of each dimension; null for entries without it',
})
const details = { dimensions: Type.Optional(DIMENSIONS) }

const used = <Members extends TProperties>(members: Members) =>
  Type.Union([
    Type.Object({ ...members, ...RATED, measures: MEASURED }),
    Type.Object({ ...members, ...KEY_USED, measures: MEASURED }),
  ])

export const UsageBody = Type.Object(
  {
    bucket: Type.String(),
    tz: Type.String(),
    ...bounds,
    group_by: Type.Optional(Type.Array(Type.String())),
    items: Type.Array(
      Type.Union([
        Type.Object({ ...bounds, ...details, ...RATED, measures: MEASURED }),
        Type.Object({ ...bounds, ...details, ...KEY_USED, measures: MEASURED }),
      ]),
      {
        description:
          'Every bucket in order, including those without usage. With `group_by`, the values ' +
          'that were used in each bucket',
      },
    ),
    total: used({}),
  },
  { title: 'Usage' },
)

export const BreakdownBody = Type.Object(
  {
    by: Type.Array(Type.String()),
    tz: Type.String(),
    ...bounds,
    items: Type.Array(used({ dimensions: DIMENSIONS })),
    total: used({}),
  },
  { title: 'Breakdown' },
)
