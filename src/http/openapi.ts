import type { TSchema } from '@sinclair/typebox'
import { Type } from '@sinclair/typebox'
import { TITLES } from './problem.ts'

/** The body of every error: RFC 9457 problem details with the extra member `error`. */
export const ProblemBody = Type.Object(
  {
    type: Type.String(),
    title: Type.String({ description: 'The reason phrase of the HTTP status' }),
    status: Type.Integer(),
    detail: Type.Optional(
      Type.String({ description: 'A message for people; the wording may change' }),
    ),
    error: Type.String({ description: 'A short, stable text for programs' }),
  },
  { title: 'Problem' },
)

const ERRORS = {
  400: ['invalid request', 'The request is invalid; nothing was changed'],
  401: ['unauthorized', 'The token is missing or unknown'],
  403: ['forbidden', "The token's role does not permit this"],
  404: ['not found', 'The resource does not exist'],
  408: ['request body too slow', 'A large body arrived at less than 64 kB per second'],
  409: ['name taken', 'It contradicts what is there, or the same is already running'],
  413: ['request body too large', 'The body exceeds the size limit (16 MiB by default)'],
  415: ['unsupported content encoding', 'The body is compressed with something other than gzip'],
  422: ['idempotency key reused', 'The request is valid, but cannot be carried out as it is'],
  429: ['too many requests', 'Too many concurrent requests, or too many unknown tokens'],
  503: ['database unavailable', 'Temporarily unavailable; retry after `Retry-After` seconds'],
} as const

/** The `error` values of a status that every route that checks a token can answer. */
const COMMON_VALUES: { [Status in keyof typeof ERRORS]?: string[] } = {
  429: ['too many requests', 'too many unknown tokens'],
  503: ['database unavailable', 'archive unavailable', 'busy'],
}

/** The values of a 503 that a read of counters or usage can answer besides. */
export const READ_VALUES = [
  ...['projections behind', 'snapshots behind', 'projection rebuilding'],
  ...['newer events', 'log changed'],
]

export type ErrorStatus = keyof typeof ERRORS

const HEADERS = {
  'Tallybook-Position':
    'Position in the log, `<shard>/<position>`; a read returns one position per shard',
  'Idempotency-Replayed': '`true` if an earlier request with this key was already counted',
  Vary: '`Accept`, which selects the format of the response',
} as const

type HeaderName = keyof typeof HEADERS

/** Headers that an error response always carries. */
const ERROR_HEADERS: { [Status in ErrorStatus]?: object } = {
  401: { 'WWW-Authenticate': header('The scheme to use: a bearer token', 'string') },
  415: { 'Accept-Encoding': header('The supported encodings: `gzip, identity`', 'string') },
  429: { 'Retry-After': header('Seconds to wait before retrying', 'integer') },
  503: { 'Retry-After': header('Seconds to wait before retrying', 'integer') },
}

/** The OpenAPI description of a route. It lists every response that the route can return. */
export type RouteDoc = {
  summary: string
  description?: string
  tag: string
  /** The success response: status 200 unless `status` is set. */
  ok: {
    description: string
    schema?: TSchema
    example?: unknown
    type?: string
    status?: number
    /** Alternative text formats, by media type. */
    forms?: Record<string, { description: string; example: string }>
  }
  headers?: HeaderName[]
  /** Headers that not every success has. */
  optionalHeaders?: HeaderName[]
  errors: ErrorStatus[]
  /** The values of the member `error` by status that this route answers besides the common ones. */
  errorValues?: { [Status in ErrorStatus]?: string[] }
  body?: { schema: TSchema; example: unknown }
  /** True if the route needs no token. */
  open?: boolean
  parameters?: object[]
}

/** Returns the `detail` option of a route: its OpenAPI operation. */
export function describe(doc: RouteDoc) {
  const responses: Record<string, object> = {}
  const { ok, headers = [], optionalHeaders = [] } = doc
  responses[ok.status ?? 200] = {
    description: ok.description,
    ...(headers.length + optionalHeaders.length > 0 && {
      headers: { ...headersOf(headers, true), ...headersOf(optionalHeaders, false) },
    }),
    ...(ok.schema === undefined
      ? {}
      : {
          content: {
            [ok.type ?? 'application/json']: { schema: ok.schema, example: ok.example },
            ...textForms(ok.forms ?? {}),
          },
        }),
  }
  // Every route that needs a token can answer 429 to a client that sent too many unknown ones.
  const statuses: ErrorStatus[] = doc.errors.includes(401) ? [...doc.errors, 429] : doc.errors
  for (const status of statuses) {
    const [error, description] = ERRORS[status]
    const common = doc.errors.includes(401) ? (COMMON_VALUES[status] ?? []) : []
    const values = [...(doc.errorValues?.[status] ?? []), ...common]
    responses[status] = {
      description,
      ...(ERROR_HEADERS[status] === undefined ? {} : { headers: ERROR_HEADERS[status] }),
      content: {
        'application/problem+json': {
          schema: ProblemBody,
          ...examplesOf(status, values.length === 0 ? [error] : values),
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
            description: 'May be compressed with `Content-Encoding: gzip`.',
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

/** Returns one `example`, or several `examples` keyed by their `error` value. */
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

function headersOf(names: HeaderName[], isRequired: boolean) {
  return Object.fromEntries(
    names.map((name) => [name, header(HEADERS[name], 'string', isRequired)]),
  )
}
