import { Type } from '@sinclair/typebox'
import { describe, type RouteDoc } from '../openapi.ts'
import { EXAMPLE_HASH } from '../params.ts'
import { ApiKeyFlushBody, KeyFlushBody } from './model.ts'

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'A flush with the same key and the same entries is counted once, however often it is sent. ' +
    'Keys are scoped to the token. Without a key every request is counted.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
}

const sequence = {
  name: 'Tallybook-Sequence',
  in: 'header',
  required: false,
  description:
    'The number of the flush in the sequence of its sender, so that a missing flush is noticed: ' +
    '`<epoch>/<number>`, or `<epoch>/<first>-<last>` for one that merges several. An epoch is a ' +
    'process or a spool; numbers begin at 0. `;last` behind it marks a clean shutdown. It does ' +
    'not change how the flush counts.',
  schema: {
    type: 'string',
    pattern: '^[A-Za-z0-9._-]{1,64}/[0-9]{1,16}(-[0-9]{1,16})?(;last)?$',
    example: 'gateway-1.6f3a/41',
  },
}

const common: Omit<RouteDoc, 'summary' | 'description' | 'ok' | 'body'> = {
  tag: 'Data plane',
  headers: ['Tallybook-Position'],
  optionalHeaders: ['Idempotency-Replayed'],
  errors: [400, 401, 403, 408, 413, 415, 422, 503],
  errorValues: {
    400: [
      ...['invalid request body', 'invalid stats payload'],
      ...['invalid idempotency key', 'invalid sequence'],
    ],
    503: ['log unavailable', 'too many large bodies'],
  },
  parameters: [idempotencyKey, sequence],
}

export const apiKeyFlushDetail = describe({
  ...common,
  summary: 'Post the usage of API keys',
  description: 'Counts all entries of the flush or none. Status 200 means that it is durable.',
  body: {
    schema: ApiKeyFlushBody,
    example: { keys: [{ api_key_id: 1, requests: 10, success_requests: 9 }] },
  },
  ok: {
    description:
      'Counted. `updated`: distinct known API keys with requests; `groups_updated`: distinct ' +
      'known provider groups of these keys',
    schema: Type.Object({ updated: Type.Integer(), groups_updated: Type.Integer() }),
    example: { updated: 1, groups_updated: 1 },
  },
})

export const keyFlushDetail = describe({
  ...common,
  summary: 'Post the usage of token keys',
  description: 'Counts all entries of the flush or none. Status 200 means that it is durable.',
  body: {
    schema: KeyFlushBody,
    example: {
      keys: [{ token_hash: EXAMPLE_HASH, requests: 10, tokens: 200, last_accessed_at: 1700000000 }],
    },
  },
  ok: {
    description: 'Counted. `updated`: entries that changed a known token key',
    schema: Type.Object({ updated: Type.Integer() }),
    example: { updated: 1 },
  },
})
