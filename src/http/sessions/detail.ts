import { describe } from '../openapi.ts'
import { SessionBody, ShownBody, SignInBody } from './model.ts'

const EXAMPLE = { name: 'admin', role: 'admin', expires_at: '2026-01-31T20:00:00.000Z' }

export const begin = describe({
  tag: 'Sessions',
  open: true,
  summary: 'Sign in',
  description:
    'Exchanges the token of an admin or auditor for a session cookie that scripts cannot read. ' +
    'Every instance accepts the cookie in place of the token until it expires, the session is ' +
    'ended, or the token is revoked. The body may have at most 4 KiB.',
  body: { schema: SignInBody, example: { token: 'tb_admin_2oDgUwbY0yJrM0q3n2bqf0hRzvW6m1kx' } },
  ok: { status: 201, description: 'Signed in', schema: SessionBody, example: EXAMPLE },
  errors: [400, 401, 403, 413, 415, 503],
  errorValues: {
    400: ['invalid request', 'invalid sign-in'],
    429: ['too many sign-ins'],
  },
})

export const show = describe({
  tag: 'Sessions',
  open: true,
  summary: 'Get the current session',
  ok: {
    description: 'The caller, identified by the cookie or a token; null if not signed in',
    schema: ShownBody,
    example: EXAMPLE,
  },
  errors: [400, 401, 403, 503],
})

export const end = describe({
  tag: 'Sessions',
  open: true,
  summary: 'Sign out',
  description: 'Ends the session of the cookie on every instance. Succeeds even if there is none.',
  ok: { status: 204, description: 'Signed out' },
  errors: [400, 403, 429, 503],
  errorValues: { 429: ['too many requests'] },
})
