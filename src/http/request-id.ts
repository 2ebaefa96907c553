/** The header that names a request, in the request and in its response. */
export const REQUEST_ID = 'x-request-id'

/** An id that a client may choose: it is logged and sent back as it is. */
const ACCEPTED = /^[\x21-\x7e]{1,128}$/

/** `traceparent` of W3C Trace Context, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f0…-01`. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

const traceIds = new WeakMap<Request, string>()

/** The part of a route's context that makes its response. */
type Named = { headers: Record<string, string | number> }

/**
 * A hook of every route: the response to a request with a valid `X-Request-Id` has the same. Other
 * requests get an id only when it is needed, because one for each took 4 % of a flush.
 */
export function nameRequest({ request, set }: { request: Request; set: Named }): void {
  const given = request.headers.get(REQUEST_ID)
  if (given !== null && ACCEPTED.test(given)) set.headers[REQUEST_ID] = given
}

/** Returns the id of a request, and gives it to its response. */
export function requestIdOf({ headers }: Named): string {
  headers[REQUEST_ID] ??= crypto.randomUUID()
  return String(headers[REQUEST_ID])
}

/** Adds an id to a response that no route made. */
export function withRequestId(request: Request, response: Response): Response {
  response.headers.set(REQUEST_ID, chooseId(request))
  return response
}

/** Notes the trace in which a request is recorded. */
export function noteTrace(request: Request, traceId: string): void {
  traceIds.set(request, traceId)
}

/** Returns what a line of the service's own log says about a request, which may have no id. */
export function identify(
  request: Request,
  id: string | null,
): { request_id?: string; trace_id?: string } {
  const header = request.headers.get('traceparent') ?? ''
  const traceId = traceIds.get(request) ?? TRACEPARENT.exec(header)?.[1]
  return {
    ...(id !== null && { request_id: id }),
    ...(traceId !== undefined && { trace_id: traceId }),
  }
}

function chooseId(request: Request): string {
  const given = request.headers.get(REQUEST_ID)
  return given !== null && ACCEPTED.test(given) ? given : crypto.randomUUID()
}
