import { describe } from '../openapi.ts'
import { ExplainBody } from './model.ts'

export const detail = describe({
  tag: 'Audit',
  summary: 'Which flushes make up a total',
  description:
    'In the order of time, each with what it added and the total with it. Of all provider groups ' +
    'together, or of one group, API key or token key; now or as of then.',
  ok: {
    description: 'A page; one may be empty and not the last',
    schema: ExplainBody,
    example: {
      total: { requests: 10, success_requests: 9 },
      before: { requests: 0, success_requests: 0 },
      items: [
        {
          shard: 0,
          position: 1,
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
