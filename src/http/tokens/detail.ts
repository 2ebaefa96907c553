import { Type } from '@sinclair/typebox'
import { describe } from '../openapi.ts'
import { StoredTokenModel, TokenBody } from './model.ts'

const EXAMPLE = { name: 'proxy-eu-1', role: 'dp', created_at: '2026-01-31T12:00:00.000Z' }

export const create = describe({
  tag: 'Tokens',
  summary: 'Create a token',
  description:
    'The text of the token is only in this response; the service stores its SHA-256. The name ' +
    'becomes the source of the events that it posts, so no later token can reuse it. Other ' +
    'instances accept the token within two seconds.',
  body: { schema: TokenBody, example: { name: 'proxy-eu-1', role: 'dp' } },
  ok: {
    status: 201,
    description: 'The token',
    schema: Type.Object({
      name: Type.String(),
      role: Type.String(),
      token: Type.String(),
      created_at: Type.String({ format: 'date-time' }),
    }),
    example: { ...EXAMPLE, token: 'tb_dp_2oDgUwbY0yJrM0q3n2bqf0hRzvW6m1kx' },
  },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 409, 413, 415, 503],
  errorValues: { 400: ['invalid token', 'invalid request'] },
})

export const list = describe({
  tag: 'Tokens',
  summary: 'List tokens',
  description: 'Includes revoked tokens, but not the three fixed tokens of the service.',
  ok: {
    description: 'The tokens, sorted by name',
    schema: Type.Object({ items: Type.Array(StoredTokenModel) }),
    example: { items: [{ ...EXAMPLE, revoked_at: null }] },
  },
  errors: [400, 401, 403, 503],
})

export const revoke = describe({
  tag: 'Tokens',
  summary: 'Revoke a token',
  description: 'Every instance refuses the token within two seconds. What it posted is kept.',
  ok: { status: 204, description: 'Revoked' },
  headers: ['Tallybook-Position'],
  errors: [400, 401, 403, 404, 503],
})
