import {
  type Attributes,
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import type { PostedFlush } from '../events/flush.ts'
import { noteTrace, REQUEST_ID } from '../http/request-id.ts'
import type { RequestTracer, Stage } from '../http/tracer.ts'
import { pathOf } from '../http/unmatched.ts'
import { type AppendResult, callAppendBatch } from '../log/append-call.ts'
import type { PendingFlush } from '../log/queue.ts'
import type { WriteBatch } from '../read-model/projector/projection-groups.ts'
import { now, toEpoch } from './clock.ts'
import { RecentCommits } from './recent-commits.ts'

/** Links of a span: more would be dropped by the SDK. */
const MAX_LINKS = 128

/** A flush whose request is recorded; `queuedMs` is null once it has left the queue. */
type TracedFlush = { context: Context; queuedMs: number | null }

const propagator = new W3CTraceContextPropagator()
const HEADERS = {
  get: (headers: Headers, name: string) => headers.get(name) ?? undefined,
  keys: (headers: Headers) => [...headers.keys()],
}

/**
 * Records requests, the way of a flush through queue and commit, and the folds of what was
 * appended. A batch of several flushes has one commit: it belongs to the trace of the first
 * recorded flush and is linked to the others, each of which has a span of the same time with a link
 * back. A fold belongs to the trace of the first commit that it folds, and is linked to the others.
 */
export class SpanTracer implements RequestTracer {
  readonly #requests = new WeakMap<Request, Span>()
  readonly #flushes = new WeakMap<PostedFlush, TracedFlush>()
  readonly #commits = new RecentCommits()

  constructor(private readonly tracer: Tracer) {}

  trace(request: Request, handle: () => Response | Promise<Response>) {
    const { method, url, headers } = request
    const attributes: Attributes = {
      'http.request.method': method,
      'url.path': pathOf(url),
      'url.scheme': url.startsWith('https:') ? 'https' : 'http',
    }
    const agent = headers.get('user-agent')
    if (agent !== null) attributes['user_agent.original'] = agent
    const parent = propagator.extract(ROOT_CONTEXT, headers, HEADERS)
    const options = { kind: SpanKind.SERVER, attributes, startTime: now() }
    const span = this.tracer.startSpan(method, options, parent)
    noteTrace(request, span.spanContext().traceId)
    if (!span.isRecording()) return handle()
    this.#requests.set(request, span)
    return answer(span, handle)
  }

  noteRoute(request: Request, route: string): void {
    const span = this.#requests.get(request)
    span?.updateName(`${request.method} ${route}`).setAttribute('http.route', route)
  }

  noteFlush(request: Request, posted: PostedFlush, startedMs: number): void {
    const span = this.#requests.get(request)
    if (span === undefined) return
    const context = trace.setSpan(ROOT_CONTEXT, span)
    const queuedMs = now()
    const attributes = { 'tallybook.flush.type': posted.type }
    const options = { attributes, startTime: toEpoch(startedMs) }
    this.tracer.startSpan('flush.validate', options, context).end(queuedMs)
    this.#flushes.set(posted, { context, queuedMs })
  }

  async stage<Value>(request: Request, stage: Stage, work: () => Promise<Value>): Promise<Value> {
    const parent = this.#requests.get(request)
    if (parent === undefined) return work()
    const context = trace.setSpan(ROOT_CONTEXT, parent)
    return record([this.tracer.startSpan(stage, { startTime: now() }, context)], work)
  }

  /** Does what `callAppendBatch` does, and records it for each flush whose request is recorded. */
  readonly appendBatch: typeof callAppendBatch = (sql, shard, batch, catalog) => {
    const append = () => callAppendBatch(sql, shard, batch, catalog)
    const flushes = batch.flatMap(({ posted }) => this.#flushes.get(posted) ?? [])
    if (flushes.length === 0) return append()
    const startTime = now()
    for (const flush of flushes) this.#leaveQueue(flush, startTime)
    const [first, ...others] = flushes.map(({ context }) => context)
    const options = { kind: SpanKind.CLIENT, startTime }
    const commit = this.tracer.startSpan(
      'flush.commit',
      { ...options, attributes: describeBatch(shard, batch), links: linksTo(others) },
      first,
    )
    const context = trace.setSpan(ROOT_CONTEXT, commit)
    const copies = others.map((other) =>
      this.tracer.startSpan('flush.commit', { ...options, links: linksTo([context]) }, other),
    )
    return record([commit, ...copies], async () => {
      const result = await append()
      commit.setAttributes(describeResult(result))
      if (result.firstPosition !== null) {
        const last = result.firstPosition + batch.length - result.replayed.length - 1
        this.#commits.add(shard, { first: result.firstPosition, last, context })
      }
      return result
    })
  }

  /** Writes a batch that a projector has folded, and records it if its appends are recorded. */
  readonly writeBatch: WriteBatch = (sql, batch, group) => {
    const { shard, checkpoints, position, events } = batch
    const after = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
    const [first, ...others] = this.#commits.find(shard, after, position)
    if (first === undefined) return batch.write(sql)
    const attributes = {
      'tallybook.shard': shard,
      'tallybook.projection.group': group,
      'tallybook.fold.events': events,
      'tallybook.position.first': after + 1,
      'tallybook.position.last': position,
    }
    const options = { attributes, links: linksTo(others), startTime: now() }
    return record([this.tracer.startSpan('projector.fold', options, first)], () => batch.write(sql))
  }

  #leaveQueue(flush: TracedFlush, at: number): void {
    if (flush.queuedMs === null) return
    const options = { startTime: flush.queuedMs }
    this.tracer.startSpan('flush.queue', options, flush.context).end(at)
    flush.queuedMs = null
  }
}

const linksTo = (contexts: Context[]): Link[] =>
  contexts.slice(0, MAX_LINKS).map((context) => ({ context: trace.getSpanContext(context)! }))

const describeBatch = (shard: number, batch: readonly PendingFlush[]): Attributes => ({
  'db.system.name': 'postgresql',
  'db.stored_procedure.name': 'append_batch',
  'tallybook.shard': shard,
  'tallybook.batch.flushes': batch.length,
})

const describeResult = (result: AppendResult): Attributes =>
  result.firstPosition === null
    ? { 'tallybook.catalog.stale': true }
    : {
        'tallybook.position.first': result.firstPosition,
        'tallybook.batch.replayed': result.replayed.length,
      }

/** Ends the span of a request with its response. */
async function answer(span: Span, handle: () => Response | Promise<Response>): Promise<Response> {
  return record([span], async () => {
    const response = await handle()
    const { status, headers } = response
    span.setAttributes({
      'http.response.status_code': status,
      'tallybook.request.id': headers.get(REQUEST_ID)!,
    })
    if (status >= 500) {
      span.setAttribute('error.type', String(status)).setStatus({ code: SpanStatusCode.ERROR })
    }
    return response
  })
}

/** Ends spans as soon as the work is done, or has failed. */
async function record<Value>(spans: Span[], work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    const name = error instanceof Error ? error.name : 'unknown'
    for (const span of spans) {
      span.setAttribute('error.type', name).setStatus({ code: SpanStatusCode.ERROR })
    }
    throw error
  } finally {
    const at = now()
    for (const span of spans) span.end(at)
  }
}
