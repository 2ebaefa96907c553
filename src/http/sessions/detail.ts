import { describe } from '../openapi.ts'
import { SessionBody, ShownBody, SignInBody } from './model.ts'

const EXAMPLE = { name: 'admin', role: 'admin', expires_at: '2026-01-31T20:00:00.000Z' }

export const begin = describe({
  tag: 'Sessions',
  open: true,
  summary: 'Sign in',
  description:
    'Takes the token of an admin or auditor once, for a cookie that no script can read. The ' +
    'cookie serves in the place of the token, on every instance, until it expires, somebody ' +
    'signs out, or the token is revoked. The body has 4 KiB at most.',
  body: { schema: SignInBody, example: { token: 'tb_admin_2oDgUwbY0yJrM0q3n2bqf0hRzvW6m1kx' } },
  ok: { status: 201, description: 'Signed in', schema: SessionBody, example: EXAMPLE },
  errors: [400, 401, 403, 413, 415, 503],
  errorValues: {
    400: ['invalid request', 'invalid sign-in'],
    429: ['too many requests', 'too many unknown tokens', 'too many sign-ins'],
  },
})

export const show = describe({
  tag: 'Sessions',
  open: true,
  summary: 'Who is signed in',
  ok: {
    description: 'By the cookie, or by the token; null: nobody',
    schema: ShownBody,
    example: EXAMPLE,
  },
  errors: [400, 401, 403, 503],
})

export const end = describe({
  tag: 'Sessions',
  open: true,
  summary: 'Sign out',
  description: 'Ends the session of the cookie, on every instance, whether or not there is one.',
  ok: { status: 204, description: 'Signed out' },
  errors: [400, 403, 429, 503],
  errorValues: { 429: ['too many requests'] },
})
