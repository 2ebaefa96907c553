import { Type } from '@sinclair/typebox'
import { Subject } from '../../events/types/rule-events.ts'
import { describe } from '../openapi.ts'

const RuleModel = Type.Object(
  {
    name: Type.String(),
    kind: Type.String({
      description: '`success_rate`, `quota`, `silent_source` or `failed_verification`',
    }),
    of: Type.Optional(Type.String({ description: '`provider_group` or `api_key`' })),
    id: Type.Optional(Type.Integer()),
    below: Type.Optional(Type.Number()),
    minutes: Type.Optional(Type.Integer()),
    min_requests: Type.Optional(Type.Integer()),
    percent: Type.Optional(Type.Integer()),
    token_hash: Type.Optional(Type.String()),
    source: Type.Optional(Type.String()),
    crossed: Type.Integer({ description: 'How many subjects cross the rule now' }),
    crossings: Type.Array(
      Type.Object({
        subject: Subject,
        value: Type.Record(Type.String(), Type.Integer(), {
          description: 'What was seen when it was crossed',
        }),
        since: Type.String({ format: 'date-time' }),
        position: Type.String({ description: 'Of the `RuleCrossed`' }),
      }),
      { description: 'The newest 100 of them' },
    ),
  },
  { title: 'Rule' },
)

export const list = describe({
  tag: 'Catalog',
  summary: 'List the rules of the catalog',
  description:
    'By name, with what has crossed them. A rule has the members of its kind. PUT /admin/catalog ' +
    'adds and replaces rules.',
  ok: {
    description: 'All rules',
    schema: Type.Object({ items: Type.Array(RuleModel) }),
    example: {
      items: [
        {
          ...{ name: 'quota_80', kind: 'quota', percent: 80, crossed: 1 },
          crossings: [
            {
              subject: { kind: 'key', id: '3f08' },
              value: { quota_used: 812, quota_limit: 1000 },
              ...{ since: '2026-01-31T12:00:00.123456+00:00', position: '0/41' },
            },
          ],
        },
      ],
    },
  },
  errors: [400, 401, 403, 503],
  errorValues: { 503: ['newer events', 'log changed'] },
})
