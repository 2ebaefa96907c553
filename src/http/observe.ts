import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import { identify, nameRequest, REQUEST_ID } from './request-id.ts'
import type { RequestTracer } from './tracer.ts'
import { pathOf } from './unmatched.ts'

/** Handles a request. */
type Handle = () => Response | Promise<Response>

export type ObserveOptions = {
  logger: Logger
  /** Requests that take longer, in milliseconds, are logged; null logs none. */
  slowRequestMs: number | null
  /** null records no traces. */
  tracer: RequestTracer | null
}

/** Lines about slow requests in a second; an outage can make all of them slow. */
const MAX_LINES = 10

/**
 * Returns a function that handles requests and observes them: it logs the slow ones, and traces
 * each. Returns null if there is nothing to observe.
 */
export function observeRequests({ logger, slowRequestMs, tracer }: ObserveOptions) {
  if (slowRequestMs === null && tracer === null) return null
  let second = 0
  let lines = 0
  let omitted = 0
  const logSlow = (request: Request, { status, headers }: Response, ms: number) => {
    const now = Math.floor(performance.now() / 1_000)
    if (now !== second) [second, lines] = [now, 0]
    if (++lines > MAX_LINES) return void omitted++
    const { method, url } = request
    const about = {
      ...identify(request, headers.get(REQUEST_ID)),
      ...{ method, path: pathOf(url), status, ms: Math.round(ms) },
    }
    logger.warn({ ...about, ...(omitted > 0 && { omitted }) }, 'request slow')
    omitted = 0
  }
  const timed = async (request: Request, handle: Handle) => {
    const started = performance.now()
    const response = await handle()
    const ms = performance.now() - started
    if (ms >= slowRequestMs!) logSlow(request, response, ms)
    return response
  }
  return (request: Request, handle: Handle): Response | Promise<Response> => {
    const handleTimed = slowRequestMs === null ? handle : () => timed(request, handle)
    return tracer === null ? handleTimed() : tracer.trace(request, handleTimed)
  }
}

/** The hooks of every route that name its requests, and observe them. */
export function observation(
  observe: ReturnType<typeof observeRequests>,
  tracer: RequestTracer | null,
) {
  const hooks = new Elysia({ name: 'observation', seed: observe }).onRequest(nameRequest)
  if (observe !== null) {
    hooks.wrap((handle) => (request: Request) => {
      const answer = handle as unknown as (request: Request) => Response | Promise<Response>
      return observe(request, () => answer(request))
    })
  }
  if (tracer !== null) {
    hooks.onTransform({ as: 'global' }, ({ request, route }) => tracer.noteRoute(request, route))
  }
  return hooks
}
