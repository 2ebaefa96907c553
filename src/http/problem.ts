/** An answer that says what went wrong: RFC 9457 problem details with the member `error` added. */
export class Problem extends Error {
  override name = 'Problem'

  constructor(
    readonly status: number,
    /** One short, stable line for programs: `invalid stats payload`. */
    readonly error: string,
    /** What a person may want to know besides; never an internal message. */
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

/** The client can't be served now and should come back; `seconds` later at the earliest. */
export function unavailable(error: string, seconds = 1, detail?: string): Problem {
  return new Problem(503, error, detail, { 'retry-after': String(seconds) })
}

/** A 429 for a client that asks for too much at once; it may try again in two seconds. */
export function tooManyRequests(): Problem {
  const headers = { 'retry-after': '2' }
  return new Problem(429, 'too many requests', 'Ask for less at once.', headers)
}

/** Reason phrases of RFC 9110. */
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
