import { EXAMPLE_RATED } from '../counters/model.ts'
import { describe, READ_VALUES } from '../openapi.ts'
import { BreakdownBody, UsageBody } from './model.ts'

const from = '2026-01-31T12:00:00+01:00'
const to = '2026-01-31T13:00:00+01:00'

export const detail = describe({
  tag: 'Admin reads',
  summary: 'Get usage by hour, day or month',
  description:
    'Returns the usage in each hour, day or month of a time zone, for all provider groups ' +
    'together or for one group, API key or token key. `from` is inclusive and `to` exclusive; ' +
    'both must be multiples of 15 minutes. By default the range is the last 24 hours, 30 days or ' +
    '12 months, up to the end of the bucket that contains now or `as_of`. With `group_by`, each ' +
    'bucket is divided by the values of one or two dimensions, the largest first: at most 10,000 ' +
    'items. ' +
    '`Accept: text/csv` or `format=csv` returns CSV.',
  ok: {
    description: 'The usage',
    schema: UsageBody,
    example: {
      bucket: 'hour',
      tz: 'Europe/Berlin',
      from,
      to,
      items: [{ from, to, ...EXAMPLE_RATED }],
      total: EXAMPLE_RATED,
    },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 422, 503],
  errorValues: {
    400: ['invalid request', 'invalid query'],
    422: ['usage by days'],
    503: READ_VALUES,
  },
})

export const breakdownDetail = describe({
  tag: 'Admin reads',
  summary: 'Get usage by the values of dimensions',
  description:
    'Returns the usage of a range by the values of one or two dimensions, the largest first, for ' +
    'all provider groups together or for one group, API key or token key. The items add up to ' +
    'the total. The range is as in `GET /admin/usage`. `Accept: text/csv` or `format=csv` ' +
    'returns CSV.',
  ok: {
    description: 'The breakdown',
    schema: BreakdownBody,
    example: {
      by: ['model'],
      tz: 'UTC',
      from: '2026-01-31T00:00:00+00:00',
      to: '2026-02-01T00:00:00+00:00',
      items: [
        { dimensions: { model: 'gpt-5' }, ...EXAMPLE_RATED, measures: { input_tokens: 1200 } },
      ],
      total: { ...EXAMPLE_RATED, measures: { input_tokens: 1200 } },
    },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 422, 503],
  errorValues: {
    400: ['invalid request', 'invalid query'],
    422: ['usage by days'],
    503: READ_VALUES,
  },
})
