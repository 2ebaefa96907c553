import type { TSchema } from '@sinclair/typebox'
import { Type } from '@sinclair/typebox'
import { TITLES } from './problem.ts'

/** What every error answers: RFC 9457 problem details with the member `error`. */
export const ProblemBody = Type.Object(
  {
    type: Type.String(),
    title: Type.String({ description: 'The reason phrase of the status' }),
    status: Type.Integer(),
    detail: Type.Optional(Type.String({ description: 'For people' })),
    error: Type.String({ description: 'Stable, for programs' }),
  },
  { title: 'Problem' },
)

const ERRORS = {
  400: ['invalid request', 'The request is not of the right form; nothing was done'],
  401: ['unauthorized', 'No token, or an unknown one'],
  403: ['forbidden', "The token's role may not do this"],
  404: ['not found', 'There is nothing by that name'],
  408: ['request body too slow', 'A large body came at less than 64 kB a second'],
  409: ['name taken', 'Something is there, or under way, already'],
  413: ['request body too large', 'The body is above the limit (16 MiB by default)'],
  415: ['unsupported content encoding', 'The body is compressed in a way other than gzip'],
  422: ['idempotency key reused', 'The idempotency key belongs to a flush with other entries'],
  429: ['too many requests', 'Too much was asked at once, or too many unknown tokens came'],
  503: ['database unavailable', 'Not now: try again after Retry-After seconds'],
} as const

/** The errors of a status that has several of them on most routes. */
const USUAL: { [Status in keyof typeof ERRORS]?: string[] } = {
  429: ['too many requests', 'too many unknown tokens'],
}

export type ErrorStatus = keyof typeof ERRORS

const HEADERS = {
  'Tallybook-Position': 'Position in the log, `<shard>/<position>`; of a read, one a shard',
  'Idempotency-Replayed': '`true` where an earlier try had been counted already',
  Vary: '`Accept`: it chose the form of the answer',
} as const

/** Headers that an error always carries. */
const ERROR_HEADERS: { [Status in ErrorStatus]?: object } = {
  401: { 'WWW-Authenticate': header('What to send: a bearer token', 'string') },
  415: { 'Accept-Encoding': header('What a body may be sent as: `gzip, identity`', 'string') },
  429: { 'Retry-After': header('Seconds', 'integer') },
  503: { 'Retry-After': header('Seconds', 'integer') },
}

/** What a route tells OpenAPI; the answers are all there are. */
export type RouteDoc = {
  summary: string
  description?: string
  tag: string
  /** The 200 answer: its schema, an example, and the headers it carries. */
  ok: {
    description: string
    schema?: TSchema
    example?: unknown
    type?: string
    status?: number
    /** Its other forms, by media type: text. */
    forms?: Record<string, { description: string; example: string }>
  }
  headers?: (keyof typeof HEADERS)[]
  errors: ErrorStatus[]
  /** What the member `error` of a status can be on this route, where it isn't the usual one. */
  errorValues?: { [Status in ErrorStatus]?: string[] }
  body?: { schema: TSchema; example: unknown }
  /** Open to everyone: no token. */
  open?: boolean
  parameters?: object[]
}

/** The `detail` of a route. */
export function describe(doc: RouteDoc) {
  const responses: Record<string, object> = {}
  const { ok } = doc
  responses[ok.status ?? 200] = {
    description: ok.description,
    ...(doc.headers === undefined ? {} : { headers: headersOf(doc.headers) }),
    ...(ok.schema === undefined
      ? {}
      : {
          content: {
            [ok.type ?? 'application/json']: { schema: ok.schema, example: ok.example },
            ...textForms(ok.forms ?? {}),
          },
        }),
  }
  // Who has to show a token may have shown too many.
  const statuses: ErrorStatus[] = doc.errors.includes(401) ? [...doc.errors, 429] : doc.errors
  for (const status of statuses) {
    const [error, description] = ERRORS[status]
    responses[status] = {
      description,
      ...(ERROR_HEADERS[status] === undefined ? {} : { headers: ERROR_HEADERS[status] }),
      content: {
        'application/problem+json': {
          schema: ProblemBody,
          ...examplesOf(status, doc.errorValues?.[status] ?? USUAL[status] ?? [error]),
        },
      },
    }
  }
  return {
    summary: doc.summary,
    ...(doc.description === undefined ? {} : { description: doc.description }),
    tags: [doc.tag],
    security: doc.open ? [] : [{ token: [] }],
    responses,
    ...(doc.parameters === undefined ? {} : { parameters: doc.parameters }),
    ...(doc.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            description: 'It may be compressed, with `Content-Encoding: gzip`.',
            content: { 'application/json': { schema: doc.body.schema, example: doc.body.example } },
          },
        }),
  } as object
}

function textForms(forms: Record<string, { description: string; example: string }>) {
  return Object.fromEntries(
    Object.entries(forms).map(([type, { description, example }]) => [
      type,
      { schema: Type.String({ description }), example },
    ]),
  )
}

/** One `example`, or `examples` by what they say. */
function examplesOf(status: ErrorStatus, errors: string[]): object {
  const toExample = (error: string) => ({
    type: 'about:blank',
    title: TITLES[status],
    status,
    error,
  })
  if (errors.length === 1) return { example: toExample(errors[0]!) }
  return {
    examples: Object.fromEntries(errors.map((error) => [error, { value: toExample(error) }])),
  }
}

function header(description: string, type: string, required = true) {
  return { description, required, schema: { type } }
}

function headersOf(names: (keyof typeof HEADERS)[]) {
  return Object.fromEntries(
    names.map((name) => [name, header(HEADERS[name], 'string', name !== 'Idempotency-Replayed')]),
  )
}
