import { Type } from '@sinclair/typebox'
import { describe } from '../openapi.ts'
import { StoredTokenModel, TokenBody } from './model.ts'

const EXAMPLE = { name: 'proxy-eu-1', role: 'dp', created_at: '2026-01-31T12:00:00.000Z' }

export const create = describe({
  tag: 'Tokens',
  summary: 'Make a token',
  description:
    'Its text is in this answer and nowhere else: the service holds its SHA-256. Its name is the ' +
    'source of what it posts, so no later token can have it. Other instances know it within two ' +
    'seconds.',
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
  errors: [400, 401, 403, 409, 413, 415, 503],
  errorValues: { 400: ['invalid token'] },
})

export const list = describe({
  tag: 'Tokens',
  summary: 'The tokens that were made',
  description: 'Revoked ones too; the three fixed tokens are not among them.',
  ok: {
    description: 'By name',
    schema: Type.Object({ items: Type.Array(StoredTokenModel) }),
    example: { items: [{ ...EXAMPLE, revoked_at: null }] },
  },
  errors: [400, 401, 403, 503],
})

export const revoke = describe({
  tag: 'Tokens',
  summary: 'Revoke a token',
  description: 'Within two seconds no instance takes it any more. What it posted stays.',
  ok: { status: 204, description: 'Revoked' },
  errors: [400, 401, 403, 404, 503],
})
