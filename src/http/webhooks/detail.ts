import { type Static, Type } from '@sinclair/typebox'
import { describe } from '../openapi.ts'
import { ChangeBody, DeliveryModel, OutcomeModel, WebhookBody, WebhookModel } from './model.ts'

const EXAMPLE = { name: 'pager', url: 'https://hooks.example.com/tallybook' }
const CREATED = '2026-01-31T12:00:00.000Z'
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo='
const POST_ERRORS = [400, 401, 403, 413, 415, 503] as const
const INVALID = { 400: ['invalid webhook', 'invalid request'] }

export const create = describe({
  tag: 'Webhooks',
  summary: 'Create a webhook',
  description:
    'It gets every event of a rule that is recorded from now on. The secret, which signs what is ' +
    'sent, is only in this response.',
  body: { schema: WebhookBody, example: EXAMPLE },
  ok: {
    status: 201,
    description: 'The webhook and its secret',
    schema: Type.Object({
      ...{ name: Type.String(), url: Type.String() },
      ...{ created_at: Type.String({ format: 'date-time' }), secret: Type.String() },
    }),
    example: { ...EXAMPLE, created_at: CREATED, secret: SECRET },
  },
  errors: [...POST_ERRORS, 409],
  errorValues: { ...INVALID, 409: ['name taken', 'too many webhooks'] },
})

export const list = describe({
  tag: 'Webhooks',
  summary: 'List webhooks',
  description: 'By name, without their secrets.',
  ok: {
    description: 'All webhooks',
    schema: Type.Object({ items: Type.Array(WebhookModel) }),
    example: {
      items: [
        {
          ...{ ...EXAMPLE, enabled: true, created_at: CREATED, rotating_until: null },
          ...{ pending: 1, given_up: 0, failures: 2, last_attempt_at: CREATED },
          ...{ last_status: 500, last_error: null },
        },
      ],
    },
  },
  errors: [400, 401, 403, 503],
})

export const change = describe({
  tag: 'Webhooks',
  summary: 'Change a webhook',
  description:
    'A webhook that is not enabled gets nothing. Once it is enabled again, it gets what was ' +
    'pending and what is recorded from then on.',
  body: { schema: ChangeBody, example: { enabled: false } satisfies Static<typeof ChangeBody> },
  ok: { status: 204, description: 'Changed' },
  errors: [...POST_ERRORS, 404],
  errorValues: INVALID,
})

export const rotate = describe({
  tag: 'Webhooks',
  summary: "Replace a webhook's secret",
  description:
    'The new secret is only in this response. For 24 hours, requests have a signature by each.',
  ok: {
    description: 'The new secret',
    schema: Type.Object({
      secret: Type.String(),
      rotating_until: Type.String({ format: 'date-time' }),
    }),
    example: { secret: SECRET, rotating_until: '2026-02-01T12:00:00.000Z' },
  },
  errors: [400, 401, 403, 404, 503],
})

export const test = describe({
  tag: 'Webhooks',
  summary: 'Send a test delivery',
  description: 'One attempt, whose outcome is the response. It may take 15 seconds.',
  ok: {
    description: 'The status of the answer, or why there was none',
    schema: OutcomeModel,
    example: { status: 204, error: null },
  },
  errors: [400, 401, 403, 404, 503],
})

export const remove = describe({
  tag: 'Webhooks',
  summary: 'Delete a webhook',
  description: 'Its secrets and deliveries are deleted, too.',
  ok: { status: 204, description: 'Deleted' },
  errors: [400, 401, 403, 404, 503],
})

export const deliveries = describe({
  tag: 'Webhooks',
  summary: 'List deliveries',
  description: 'The newest, by the position of their event. Finished ones are kept for 30 days.',
  ok: {
    description: 'The deliveries',
    schema: Type.Object({ items: Type.Array(DeliveryModel) }),
    example: {
      items: [
        {
          ...{ webhook: 'pager', position: '0/41', type: 'RuleCrossed', rule: 'quota_80' },
          ...{ subject: { kind: 'key', id: '3f08' }, state: 'pending', attempts: 1 },
          ...{ next_attempt_at: CREATED, last_attempt_at: CREATED, status: 500, error: null },
        },
      ],
    },
  },
  errors: [400, 401, 403, 503],
})
