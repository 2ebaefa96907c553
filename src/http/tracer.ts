import type { PostedFlush } from '../events/flush.ts'

/** A part of the work on a request that a trace shows by itself. */
export type Stage = 'flush.worker' | 'read.catch_up' | 'read.query'

/** Records requests and their stages as spans of traces. */
export type RequestTracer = {
  /** Handles a request within a span that ends with its response. */
  trace(request: Request, handle: () => Response | Promise<Response>): Response | Promise<Response>
  /** Notes the route of a request, such as `/admin/keys/:token_hash`. */
  noteRoute(request: Request, route: string): void
  /** Notes that a request posted a flush, parsed since `startedMs` and queued now. */
  noteFlush(request: Request, posted: PostedFlush, startedMs: number): void
  /** Does a part of the work on a request. */
  stage<Value>(request: Request, stage: Stage, work: () => Promise<Value>): Promise<Value>
}
