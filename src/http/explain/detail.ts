import { describe } from '../openapi.ts'
import { ExplainBody } from './model.ts'

export const detail = describe({
  tag: 'Audit',
  summary: 'List the events that make up a total',
  description:
    'Lists flushes, opening balances and corrections in order of time, each with the counts that ' +
    'it added and the running total. ' +
    'The total is that of all provider groups together, or of one group, API key or token key, ' +
    'now or in the past.',
  ok: {
    description: 'A page, which may be empty without being the last',
    schema: ExplainBody,
    example: {
      total: { requests: 10, success_requests: 9 },
      before: { requests: 0, success_requests: 0 },
      items: [
        {
          shard: 0,
          position: 1,
          type: 'ApiKeyStatsFlushed',
          recorded_at: '2026-01-31T12:00:00.123456+00:00',
          source: 'dp',
          idempotency_key: 'flush-1',
          counted: { requests: 10, success_requests: 9 },
          running: { requests: 10, success_requests: 9 },
        },
      ],
      next_after: null,
    },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 503],
  errorValues: { 400: ['invalid request', 'invalid query'] },
})
