import { EXAMPLE_RATED } from '../counters/model.ts'
import { describe } from '../openapi.ts'
import { UsageBody } from './model.ts'

const from = '2026-01-31T12:00:00+01:00'
const to = '2026-01-31T13:00:00+01:00'

export const detail = describe({
  tag: 'Admin reads',
  summary: 'Usage in each hour or day of a time zone',
  description:
    'Of all provider groups together, or of one group, API key or token key. `from` and `to` are ' +
    'half open and have to be whole quarters of an hour; without them: the last 24 hours or 30 ' +
    'days, the one under way included, now or at `as_of`. With `Accept: text/csv` or ' +
    '`format=csv` as CSV.',
  ok: {
    description: 'Usage',
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
  errors: [400, 401, 403, 503],
  errorValues: {
    400: ['invalid request', 'invalid query'],
    503: ['projections behind', 'database unavailable'],
  },
})
