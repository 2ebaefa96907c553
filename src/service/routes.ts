import type { Server } from 'bun'
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import type { Tokens } from '../auth/tokens.ts'
import type { Adoptions } from '../bookkeeping/adoption/adoptions.ts'
import type { Books } from '../bookkeeping/books.ts'
import type { Instances } from '../cluster/instances.ts'
import type { Reads } from '../cluster/replicas/reads.ts'
import { consoleRoutes } from '../console/index.ts'
import type { Admission, AnonymousContext } from '../http/admission.ts'
import { attestationRoutes } from '../http/attestations/index.ts'
import { auth } from '../http/auth.ts'
import { serveUnder } from '../http/base-path.ts'
import { BodyReader } from '../http/body.ts'
import { bookkeepingRoutes } from '../http/bookkeeping/index.ts'
import { catalogRoutes } from '../http/catalog/index.ts'
import type { Clients } from '../http/clients.ts'
import { declaredRoutes } from '../http/counters/declared.ts'
import { counterRoutes } from '../http/counters/index.ts'
import { eventRoutes } from '../http/events/index.ts'
import type { EventStreams } from '../http/events/streams.ts'
import { explainRoute } from '../http/explain/index.ts'
import { FLUSH_PATHS, flushes } from '../http/flushes/index.ts'
import { health } from '../http/health.ts'
import { refuseBadHost } from '../http/host.ts'
import { liveRoute } from '../http/live/index.ts'
import type { LivePositions } from '../http/live/positions.ts'
import { metricsRoute } from '../http/metrics/index.ts'
import type { Metrics } from '../http/metrics/metrics.ts'
import { observation, observeRequests } from '../http/observe.ts'
import { swaggerRoutes } from '../http/openapi/index.ts'
import { Problem, unavailable } from '../http/problem.ts'
import { projections } from '../http/projections/index.ts'
import { quotaRoutes } from '../http/quota/index.ts'
import type { ExhaustedStreams } from '../http/quota/streams.ts'
import { identify, nameRequest, requestIdOf, withRequestId } from '../http/request-id.ts'
import { findId } from '../http/row-id.ts'
import { ruleRoutes } from '../http/rules/index.ts'
import { segmentRoutes } from '../http/segments/index.ts'
import { sessionRoutes } from '../http/sessions/index.ts'
import { sourceRoutes } from '../http/sources/index.ts'
import { type ArchiveState, statusRoute } from '../http/status/index.ts'
import { tokenRoutes } from '../http/tokens/index.ts'
import type { RequestTracer } from '../http/tracer.ts'
import { transparencyRoutes } from '../http/transparency/index.ts'
import { unknownKeyRoutes } from '../http/unknown-keys/index.ts'
import type { UnknownTokenLimiter } from '../http/unknown-tokens.ts'
import { answerUnmatched, pathOf, type Route } from '../http/unmatched.ts'
import { usageRoutes } from '../http/usage/index.ts'
import { verificationRoutes } from '../http/verifications/index.ts'
import { webhookRoutes } from '../http/webhooks/index.ts'
import type { LogAhead } from '../log/ahead.ts'
import type { CatalogWriter } from '../log/catalog/change.ts'
import type { Log } from '../log/log.ts'
import { isUnavailable, TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Pools } from '../platform/postgres/pool.ts'
import type { Attestations } from '../proofs/attestations/attestations.ts'
import type { Verifications } from '../proofs/integrity/scheduled/run.ts'
import type { TreeHeads } from '../proofs/transparency/heads.ts'
import type { Projector } from '../read-model/projector/projector.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import type { Registration } from '../registration/registration.ts'
import type { Sources } from '../sources/sources.ts'
import type { Deliverer } from '../webhooks/deliverer.ts'
import type { WorkerThread } from './worker/thread.ts'

/** Everything that the routes need. */
export type AppOptions = {
  pools: Pools
  reads: Reads
  shards: number
  catalogWriter: CatalogWriter
  books: Books
  adoptions: Adoptions
  /** null if unknown keys are not registered. */
  registration: Registration | null
  sources: Sources
  deliverer: Deliverer
  log: Log
  projector: Projector
  history: AsOfQueries
  /** See http/projections/. */
  startRebuild: (projection: string) => boolean
  streams: EventStreams
  live: LivePositions
  exhausted: ExhaustedStreams
  instances: Instances
  heads: TreeHeads
  attestations: Attestations
  logPublic: boolean
  tokens: Tokens
  verifications: Verifications
  worker: WorkerThread
  attempts: UnknownTokenLimiter
  clients: Clients
  admission: Admission
  metrics: Metrics
  ahead: LogAhead
  archive: ArchiveState
  /** False if metrics have a separate address. */
  hasMetrics: boolean
  /** null allows everyone to read metrics. */
  metricsToken: string | null
  logger: Logger
  /** null records no traces. */
  tracer: RequestTracer | null
  /** Requests that take longer, in milliseconds, are logged; null logs none. */
  slowRequestMs: number | null
  /** Prefix of all paths behind a proxy, such as `/tallybook`; or ''. */
  basePath: string
  bodyLimitBytes: number
  /** Seconds after which a connection without a request is closed. */
  idleTimeoutSeconds: number
  isStopping: () => boolean
}

/**
 * Creates the app with all routes. Every route names the roles that may call it, except health,
 * metrics, the API description, the console and /session, and the log and its proofs if the log is
 * public.
 */
export function createApp(options: AppOptions) {
  const guard = auth(options)
  const { admission, logger, tracer } = options
  const observe = observeRequests(options)
  const bodies = new BodyReader(options.bodyLimitBytes, {
    inTurn: (client, request, receive) => admission.admitBody(client, request, receive),
  })
  const noticeAppend = (shard: number, position: number) => {
    options.projector.noticeAppend(shard)
    options.streams.noticeAppend(shard, position)
  }
  const routes: Route[] = []
  const flushPaths = new Set(FLUSH_PATHS.flatMap((path) => [path, options.basePath + path]))
  const app = new Elysia({
    // Unknown fields are rejected, not dropped silently.
    normalize: false,
    serve: {
      // Routes limit their bodies themselves, after they know the role and with a proper answer.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      idleTimeout: options.idleTimeoutSeconds,
      // Otherwise a second service on the same port would silently take half of the flushes.
      reusePort: false,
      // Elysia's own fallback derives the path from the length of the host.
      routes: {
        '/*': (request: Request, server: Server<unknown>) => {
          const unmatched = () => answerUnmatched(request, routes)
          const answer = async () =>
            withRequestId(request, await answerInTurn(admission, { request, server }, unmatched))
          return observe === null ? answer() : observe(request, answer)
        },
      },
    },
  })
    .use(observation(observe, tracer))
    .onRequest(refuseBadHost)
    .onError(({ error, code, request, server, set }) => {
      const id = requestIdOf(set)
      const problem = toProblem(error, code, () => {
        const { method, url } = request
        const about = { ...identify(request, id), method, path: pathOf(url) }
        logger.error({ err: error, ...about }, 'request failed')
      })
      if (flushPaths.has(pathOf(request.url))) options.metrics.observeRefused(problem.status)
      if (problem.status >= 500) return problem.toResponse()
      return answerInTurn(admission, { request, server }, () => problem.toResponse())
    })
    .use(
      flushes(guard, {
        ...options,
        bodies,
        withHints: options.registration !== null,
        appendLarge: (flush) => options.worker.append(flush),
      }),
    )
    .use(
      catalogRoutes(guard, {
        ...options,
        bodies,
        changeLarge: (body, source) => options.worker.changeCatalog(body, source),
        onChanged: noticeAppend,
      }),
    )
    .use(
      bookkeepingRoutes(guard, {
        ...options,
        bodies,
        recordLarge: (act, body) => options.worker.recordBody(act, body),
        onRecorded: noticeAppend,
      }),
    )
    .use(
      unknownKeyRoutes(guard, {
        ...options,
        bodies,
        adoptLarge: (keys, source) => options.worker.adopt(keys, source),
        adoptBody: (body, source) => options.worker.adoptBody(body, source),
        onAppended: noticeAppend,
      }),
    )
    .use(
      counterRoutes(guard, {
        ...options,
        findId: (context, text, kind) => findId(options, context, text, kind),
        readAttested: () => options.attestations.readTotals(),
      }),
    )
    .use(declaredRoutes(guard, options))
    .use(usageRoutes(guard, options))
    .use(projections(guard, options))
    .use(eventRoutes(guard, options))
    .use(explainRoute(guard, options))
    .use(attestationRoutes(guard, options))
    .use(transparencyRoutes(guard, { ...options, bodies }))
    .use(tokenRoutes(guard, { ...options, bodies, onAppended: noticeAppend }))
    .use(verificationRoutes(guard, options))
    .use(sessionRoutes(options))
    .use(liveRoute(guard, options))
    .use(quotaRoutes(guard, options))
    .use(sourceRoutes(guard, options))
    .use(ruleRoutes(guard, options))
    .use(webhookRoutes(guard, { ...options, bodies }))
    .use(segmentRoutes(guard, options))
    .use(statusRoute(guard, options))
    .use(health(options))
    .use(
      options.hasMetrics
        ? metricsRoute(options.metrics, admission, options.metricsToken)
        : new Elysia(),
    )
    .use(swaggerRoutes(options.basePath, admission))
    .use(consoleRoutes(options.basePath, admission))
  routes.push(...serveUnder(options.basePath, app))
  return app
}

/** Creates an app with only the metrics, for their separate address. */
export function createMetricsApp(metrics: Metrics, admission: Admission, token: string | null) {
  return new Elysia({ serve: { reusePort: false } })
    .onRequest(nameRequest)
    .onError(({ error, code, set }) => {
      requestIdOf(set)
      return toProblem(error, code).toResponse()
    })
    .use(metricsRoute(metrics, admission, token))
}

/** Answers a refused or unmatched request when its turn comes. Never rejects. */
async function answerInTurn(
  admission: Admission,
  asking: AnonymousContext,
  answer: () => Response,
) {
  try {
    return await admission.admitRefusal(asking, answer)
  } catch (error) {
    return toProblem(error, 'UNKNOWN').toResponse()
  }
}

/**
 * Maps an error to the client's answer. An unexpected error is passed to `onUnexpected`, and the
 * answer contains nothing of it.
 */
function toProblem(
  error: unknown,
  code: string | number,
  onUnexpected: () => void = () => {},
): Problem {
  if (error instanceof Problem) return error
  if (code === 'NOT_FOUND') return new Problem(404, 'not found')
  if (code === 'VALIDATION') return new Problem(400, 'invalid request', describeValidation(error))
  // The client disconnected in the middle of its body.
  if (error instanceof Error && error.name === 'AbortError') return new Problem(400, 'aborted')
  if (code === 'PARSE') return new Problem(400, 'invalid request')
  if (error instanceof TemporarilyUnavailable)
    return unavailable(error.message, error.seconds, error.detail)
  if (isUnavailable(error)) return unavailable('database unavailable')
  onUnexpected()
  return new Problem(500, 'internal error')
}

/**
 * Formats a validation error, such as `query /limit: Expected …`; never contains the value that was
 * sent.
 */
function describeValidation(error: unknown): string {
  const { type, valueError } = error as {
    type?: string
    valueError?: { path?: string; message?: string; schema?: { description?: string } }
  }
  const expected = valueError?.schema?.description ?? valueError?.message ?? 'not valid'
  return `${type ?? 'request'} ${valueError?.path ?? ''}: ${expected}`
}
