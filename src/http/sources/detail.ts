import { describe } from '../openapi.ts'
import { SourceModel, SourcesBody } from './model.ts'

const EXAMPLE = {
  ...{ name: 'proxy-eu-1', flushes: 7 },
  api_keys: { flushes: 7, requests: 120, success_requests: 117 },
  keys: { flushes: 0, requests: 0, tokens: 0 },
  ...{ last_flush: '2026-01-31T12:00:35.123456+00:00', usual_interval: 5.02 },
  ...{ silent: false, missing_flushes: 3 },
  epochs: [
    {
      ...{ epoch: 'gateway-1.6f3a', next: 10 },
      missing: [
        [3, 4],
        [7, 7],
      ],
      ...{ last_flush: '2026-01-31T12:00:35.123456+00:00', ended: false },
    },
  ],
}

export const list = describe({
  tag: 'Sources',
  summary: 'List who posts flushes',
  description:
    'A source is the token that posts. Reflects every flush that was answered before the ' +
    'request, over all shards. What is missing is known of flushes with `Tallybook-Sequence`.',
  ok: {
    description: 'A page of sources in the order of their names',
    schema: SourcesBody,
    example: { items: [EXAMPLE], next_cursor: null },
  },
  errors: [400, 401, 403, 503],
  errorValues: { 400: ['invalid request', 'invalid query'], 503: ['projections behind'] },
})

export const one = describe({
  tag: 'Sources',
  summary: 'Show one source',
  description: 'As in the list.',
  ok: { description: 'The source', schema: SourceModel, example: EXAMPLE },
  errors: [400, 401, 403, 404, 503],
  errorValues: { 503: ['projections behind'] },
})
