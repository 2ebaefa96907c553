import { CONFLICT } from '../catalog/merge.ts'
import { CatalogBody } from '../catalog/model.ts'
import { describe, READ_VALUES } from '../openapi.ts'
import { EXAMPLE_HASH } from '../params.ts'
import { AdoptedBody, UnknownKeysBody } from './model.ts'
import { INVALID_ADOPTION, TOO_LARGE } from './put.ts'

export const list = describe({
  tag: 'Bookkeeping',
  summary: 'List keys that flushes named and the catalog did not have',
  description:
    'Their entries count nothing until they are adopted. At most 100,000 keys of each kind are ' +
    'listed, in order of appearance.',
  ok: {
    description: 'A page of unknown keys',
    schema: UnknownKeysBody,
    example: {
      items: [
        {
          id: null,
          external_id: 'sk-9f',
          ...{ requests: 12, flushes: 3 },
          first_seen: '2026-01-31T12:00:00.123456+00:00',
          last_seen: '2026-01-31T12:10:00.654321+00:00',
        },
      ],
      next_cursor: null,
      other: { requests: 0, flushes: 0 },
    },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 503],
  errorValues: { 400: ['invalid request', 'invalid query'], 503: READ_VALUES },
})

export const adopt = describe({
  tag: 'Bookkeeping',
  summary: 'Adopt unknown keys',
  description:
    'Adds the keys to the catalog, as PUT /admin/catalog does, and counts what the log holds for ' +
    'them, in the quarter hours where it was posted. A repeated request counts nothing twice, ' +
    'and finishes one that was interrupted. Reversed flushes are left out. For keys that are not ' +
    'listed the log is read; while that takes longer than 20 s, the answer is 503 `reading the ' +
    'log`, and a repeated request goes on.',
  body: {
    schema: CatalogBody,
    example: {
      api_keys: [{ id: 7, group_id: 1 }, { external_id: 'sk-9f' }],
      keys: [{ token_hash: EXAMPLE_HASH }],
    },
  },
  ok: {
    description: 'Adopted',
    schema: AdoptedBody,
    example: { position: '0/41', api_keys: 1, keys: 0, requests: 12 },
  },
  optionalHeaders: ['Tallybook-Position'],
  errors: [400, 401, 403, 408, 409, 413, 415, 422, 503],
  errorValues: {
    400: [INVALID_ADOPTION, 'invalid request body', 'invalid request'],
    409: [CONFLICT],
    422: [TOO_LARGE],
    503: [
      ...[
        'reading the log',
        'catalog busy',
        'books busy',
        'projections behind',
        'projection rebuilding',
      ],
      ...['newer events', 'log changed', 'worker ended', 'too many large bodies', 'stopping'],
    ],
  },
})
