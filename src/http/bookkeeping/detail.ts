import { type Static, Type } from '@sinclair/typebox'
import { describe, READ_VALUES } from '../openapi.ts'
import { EXAMPLE_HASH, HashParams } from '../params.ts'
import {
  BalancesBody,
  CorrectionBody,
  INVALID_BALANCES,
  INVALID_CORRECTION,
  INVALID_RESET,
  ResetBody,
} from './model.ts'

const idempotencyKey = (required: boolean, description: string) => ({
  name: 'Idempotency-Key',
  in: 'header',
  required,
  description,
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
})

/** The values of a 400 that an act can answer besides that of its body. */
const INVALID = ['invalid idempotency key', 'invalid request body', 'invalid request']

/** The values of a 503 that an act can answer besides the common ones. */
const UNAVAILABLE = ['books busy', 'projections behind', 'log changed', 'worker ended', 'stopping']

const Place = Type.String({ description: 'A position in the log', examples: ['0/41'] })

export const open = describe({
  tag: 'Bookkeeping',
  summary: 'Open balances with what an older system had counted',
  description:
    'Adds the balances of all rows or none to their totals; they appear in no hour of usage. ' +
    'Totals of provider groups are stated, not derived from their keys. A row can be opened once.',
  body: {
    schema: BalancesBody,
    example: {
      as_of: '2026-11-01T00:00:00Z',
      origin: { system: 'ez-api', note: 'moved in' },
      provider_groups: [{ id: 1, total_requests: 1000, success_requests: 990 }],
      api_keys: [{ id: 7, total_requests: 1000, success_requests: 990 }],
      keys: [
        {
          token_hash: EXAMPLE_HASH,
          ...{ request_count: 3, used_tokens: 50, quota_used: 40, last_accessed_at: 1700000000 },
        },
      ],
    } satisfies Static<typeof BalancesBody>,
  },
  ok: {
    status: 201,
    description: 'Opened: its position, and the number of rows of each kind',
    schema: Type.Object({
      position: Place,
      provider_groups: Type.Integer(),
      api_keys: Type.Integer(),
      keys: Type.Integer(),
    }),
    example: { position: '0/5', provider_groups: 1, api_keys: 1, keys: 1 },
  },
  headers: ['Tallybook-Position'],
  optionalHeaders: ['Idempotency-Replayed'],
  parameters: [
    idempotencyKey(true, 'A repeated request with the same key and balances opens nothing twice.'),
  ],
  errors: [400, 401, 403, 408, 409, 413, 415, 422, 503],
  errorValues: {
    400: [INVALID_BALANCES, ...INVALID],
    409: ['already open'],
    422: ['unknown accounts', 'idempotency key reused'],
    503: [...UNAVAILABLE, 'too many large bodies'],
  },
})

export const correct = describe({
  tag: 'Bookkeeping',
  summary: 'Reverse an event, or adjust totals',
  description:
    '`reverse` takes back everything that a flush, opening balances or an adjustment counted, in ' +
    'totals and in the hours of usage where it stood. `adjust` adds differences to totals, in no ' +
    'hour. The log keeps both entries. `last_accessed_at` does not change.',
  body: {
    schema: CorrectionBody,
    example: { reverse: '0/41', reason: 'posted twice' } satisfies Static<typeof CorrectionBody>,
  },
  ok: {
    status: 201,
    description: 'Corrected: the position of the correction, and of what it reversed',
    schema: Type.Object({ position: Place, reversed: Type.Optional(Place) }),
    example: { position: '0/99', reversed: '0/41' },
  },
  headers: ['Tallybook-Position'],
  optionalHeaders: ['Idempotency-Replayed'],
  parameters: [
    idempotencyKey(false, 'A repeated request with the same key corrects nothing twice.'),
  ],
  errors: [400, 401, 403, 404, 408, 409, 413, 415, 422, 503],
  errorValues: {
    400: [INVALID_CORRECTION, ...INVALID],
    409: ['already reversed', 'total out of range'],
    422: ['counts nothing', 'unknown accounts', 'idempotency key reused'],
    503: [...UNAVAILABLE, 'too many large bodies'],
  },
})

export const reset = describe({
  tag: 'Bookkeeping',
  summary: 'Reset the quota of a token key',
  description:
    'From then on `quota_used` counts from 0. A later reversal of an event from before takes ' +
    'back no quota of this key. `request_count`, `used_tokens` and usage do not change.',
  body: {
    schema: ResetBody,
    example: { reason: 'new contract' } satisfies Static<typeof ResetBody>,
  },
  ok: {
    status: 201,
    description: 'Reset: the position of the reset',
    schema: Type.Object({ position: Place }),
    example: { position: '0/99' },
  },
  headers: ['Tallybook-Position'],
  optionalHeaders: ['Idempotency-Replayed'],
  parameters: [
    {
      ...{ name: 'token_hash', in: 'path', required: true },
      ...{ description: HashParams.properties.token_hash.description, example: EXAMPLE_HASH },
      schema: { type: 'string', maxLength: 1_024 },
    },
    idempotencyKey(false, 'A repeated request with the same key and reason resets nothing twice.'),
  ],
  errors: [400, 401, 403, 404, 408, 413, 415, 422, 503],
  errorValues: {
    400: [INVALID_RESET, ...INVALID],
    422: ['idempotency key reused'],
    503: [...new Set([...UNAVAILABLE, ...READ_VALUES]), 'too many large bodies'],
  },
})

const Correction = Type.Object(
  {
    position: Place,
    recorded_at: Type.String({ format: 'date-time' }),
    source: Type.String({ description: 'The name of the token that corrected' }),
    reason: Type.String(),
    reversed: Type.Union([Place, Type.Null()], {
      description: 'The position of what it reversed; null for an adjustment',
    }),
  },
  { title: 'CorrectionEntry' },
)

export const corrections = describe({
  tag: 'Bookkeeping',
  summary: 'List corrections',
  ok: {
    description: 'A page of corrections',
    schema: Type.Object({
      items: Type.Array(Correction),
      next_cursor: Type.Union([Type.String(), Type.Null()]),
    }),
    example: {
      items: [
        {
          position: '0/99',
          recorded_at: '2026-01-31T12:00:00.123456+00:00',
          source: 'admin',
          reason: 'posted twice',
          reversed: '0/41',
        },
      ],
      next_cursor: null,
    },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 503],
  errorValues: { 400: ['invalid request', 'invalid query'], 503: READ_VALUES },
})
