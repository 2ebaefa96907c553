import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { NAME } from '../../auth/token-store.ts'
import { Subject } from '../../events/types/rule-events.ts'
import { Limit, strict } from '../params.ts'
import { describeFault } from '../place.ts'

const Name = Type.String({
  pattern: `^${NAME}$`,
  description: 'At most 63 lower-case letters, digits, dots, hyphens and underscores',
  examples: ['pager'],
})

const MAX_URL = 2_048
const Url = Type.String({
  minLength: 1,
  maxLength: MAX_URL,
  description: 'An `https:` URL; `http:` only in an allowed network',
  examples: ['https://hooks.example.com/tallybook'],
})

export const NameParams = Type.Object({ name: Name })

export const DeliveriesQuery = Type.Object(
  { webhook: Type.Optional(Name), limit: Type.Optional(Limit) },
  strict,
)

/** The body of POST /admin/webhooks. */
export const WebhookBody = Type.Object({ name: Name, url: Url }, { ...strict, title: 'NewWebhook' })

/** The body of PATCH /admin/webhooks/:name; what is absent stays. */
export const ChangeBody = Type.Object(
  {
    url: Type.Optional(Url),
    enabled: Type.Optional(Type.Boolean({ description: 'False: nothing is sent' })),
  },
  { ...strict, title: 'WebhookChange' },
)

const newBody = TypeCompiler.Compile(WebhookBody)
const changeBody = TypeCompiler.Compile(ChangeBody)

/** Parses the body, or returns a sentence that describes its first fault. */
export const parseWebhook = (text: string) => parse(newBody, text)

/** Likewise. */
export const parseChange = (text: string) => parse(changeBody, text)

function parse<Schema extends TSchema>(
  check: TypeCheck<Schema>,
  text: string,
): Static<Schema> | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'The body is not JSON.'
  }
  if (!check.Check(value)) return describeFault(check, value)
  const { url } = value as { url?: string }
  if (url === undefined) return value
  const normal = normalize(url)
  return normal === null ? FAULT : ({ ...(value as object), url: normal } as Static<Schema>)
}

const FAULT = 'url: Send an https: URL without a user and a fragment.'

/** Returns the URL as it is requested, or null if webhooks can't go there. */
function normalize(text: string): string | null {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return null
  if (url.username !== '' || url.password !== '' || text.includes('#')) return null
  return url.href.length > MAX_URL ? null : url.href
}

const time = Type.String({ format: 'date-time' })
const orNull = <Schema extends TSchema>(schema: Schema, description?: string) =>
  Type.Union([schema, Type.Null()], description === undefined ? {} : { description })

const status = orNull(Type.Integer(), 'The HTTP status of the answer')
const error = orNull(Type.String(), 'Why there was no answer, such as `address refused`')

export const WebhookModel = Type.Object(
  {
    name: Name,
    url: Type.String(),
    enabled: Type.Boolean(),
    created_at: time,
    rotating_until: orNull(time, 'Until when the former secret signs, too'),
    pending: Type.Integer({ description: 'Deliveries that wait for an attempt' }),
    given_up: Type.Integer({ description: 'Deliveries that were given up in the last 30 days' }),
    failures: Type.Integer({ description: 'Attempts that have failed since one succeeded' }),
    last_attempt_at: orNull(time),
    last_status: status,
    last_error: error,
  },
  { title: 'Webhook' },
)

export const DeliveryModel = Type.Object(
  {
    webhook: Name,
    position: Type.String({ description: 'Of the event' }),
    type: Type.String({ description: '`RuleCrossed` or `RuleCleared`' }),
    rule: Type.String(),
    subject: Subject,
    state: Type.String({ description: '`pending`, `delivered` or `given_up`' }),
    attempts: Type.Integer(),
    next_attempt_at: orNull(time),
    last_attempt_at: orNull(time),
    status,
    error,
  },
  { title: 'Delivery' },
)

export const OutcomeModel = Type.Object({ status, error })
