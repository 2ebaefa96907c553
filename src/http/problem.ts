/** An error response: RFC 9457 problem details with the additional member `error`. */
export class Problem extends Error {
  override name = 'Problem'

  constructor(
    readonly status: number,
    /** A short, stable text for programs, such as `invalid stats payload`. */
    readonly error: string,
    /** A message for people; never an internal one. */
    readonly detail?: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(error)
  }

  toResponse(): Response {
    const { status, error, detail } = this
    const body = {
      type: 'about:blank',
      title: TITLES[status] ?? 'Error',
      status,
      ...(detail === undefined ? {} : { detail }),
      error,
    }
    return new Response(JSON.stringify(body), {
      status,
      headers: { 'content-type': 'application/problem+json', ...this.headers },
    })
  }
}

/** Returns problem 503, which asks the client to retry after `seconds` at the earliest. */
export function unavailable(error: string, seconds = 1, detail?: string): Problem {
  return new Problem(503, error, detail, { 'retry-after': String(seconds) })
}

/** Returns problem 429 for a client with too many requests; it may retry after two seconds. */
export function tooManyRequests(): Problem {
  const headers = { 'retry-after': '2' }
  return new Problem(429, 'too many requests', 'Send fewer requests at once.', headers)
}

/** The reason phrases of RFC 9110 by status. */
export const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}
