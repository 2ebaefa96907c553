import { version } from '../../package.json'
import { findOpenSessions } from '../auth/sessions.ts'
import { Tokens } from '../auth/tokens.ts'
import { Adoptions } from '../bookkeeping/adoption/adoptions.ts'
import { Books } from '../bookkeeping/books.ts'
import { Instances } from '../cluster/instances.ts'
import type { Reads } from '../cluster/replicas/reads.ts'
import { DimensionLimits } from '../dimensions/limits.ts'
import { warnOfOthers } from '../dimensions/others.ts'
import type { CatalogChange } from '../events/catalog-change.ts'
import { Admission } from '../http/admission.ts'
import { Clients } from '../http/clients.ts'
import { EventStreams } from '../http/events/streams.ts'
import { LivePositions } from '../http/live/positions.ts'
import { Metrics } from '../http/metrics/metrics.ts'
import { ExhaustedStreams } from '../http/quota/streams.ts'
import { LogAhead } from '../log/ahead.ts'
import { callAppendBatch } from '../log/append-call.ts'
import { Catalog } from '../log/catalog/catalog.ts'
import { refreshCatalog } from '../log/catalog/refresh.ts'
import { Log } from '../log/log.ts'
import { readHeads } from '../log/read.ts'
import type { EventPlace } from '../log/visit.ts'
import { INTERVALS } from '../platform/intervals.ts'
import { Outages } from '../platform/postgres/outages.ts'
import type { Pools } from '../platform/postgres/pool.ts'
import { Attestations } from '../proofs/attestations/attestations.ts'
import { Verifications } from '../proofs/integrity/scheduled/run.ts'
import { TreeHeads } from '../proofs/transparency/heads.ts'
import { Integrator } from '../proofs/transparency/integrator.ts'
import { linkPreviousOrigin } from '../proofs/transparency/link-origin.ts'
import { refuseReshardedOrigin } from '../proofs/transparency/old-origin.ts'
import { ExhaustedList } from '../quota/exhausted-list.ts'
import { Projector } from '../read-model/projector/projector.ts'
import { AsOfQueries } from '../read-model/queries/as-of.ts'
import { RebuildJobs } from '../read-model/rebuild/jobs.ts'
import { Registration } from '../registration/registration.ts'
import { Archiver } from '../retention/archiver.ts'
import { NO_ARCHIVE, type OpenedArchive } from '../retention/open.ts'
import { Rules } from '../rules/rules.ts'
import { Segments } from '../segments/create.ts'
import { extending } from '../segments/extend.ts'
import { Sources } from '../sources/sources.ts'
import { Deliverer } from '../webhooks/deliverer.ts'
import type { ServiceOptions } from './options.ts'
import { WorkerThread } from './worker/thread.ts'

/** The most names and quarter hours of an adoption on this thread: some 10 ms of work. */
const MAX_USED_HERE = 2_000

/** The components of a service. */
export type Components = Awaited<ReturnType<typeof createComponents>>

/**
 * Creates the components of a service and connects them: appends are passed on to every component
 * that processes new events. None of them runs yet. Throws UserError if the log is not the one that
 * was signed.
 */
export async function createComponents(
  options: ServiceOptions,
  pools: Pools,
  reads: Reads,
  archive: OpenedArchive,
) {
  const { address, logger, origin, intervals = INTERVALS, tracing = null } = options
  const { shards, maxSubscribers, registerPerDay = null, countedAtDays } = options.config
  const { dimensionValues, segmentBytes } = options.config
  const acceptance = countedAtDays === undefined ? {} : { countedAtDays }
  const catalog = new Catalog()
  await refreshCatalog(pools.append, catalog)
  const refresh = () => refreshCatalog(pools.append, catalog, readLargeChange)
  const tokens = new Tokens(options.tokens)
  await tokens.refresh(pools.control)

  await refuseReshardedOrigin(pools.append, origin)
  const heads = await TreeHeads.open(pools.project, shards, origin)
  await linkPreviousOrigin(pools.append, shards, origin)

  const instances: Instances = new Instances({
    address,
    shards,
    version,
    logger,
    intervals: intervals.instances,
    onOwnershipChange: () => projector.noticeOwnershipChange(),
    onCatchUpRequest: (request) => projector.noticeRequest(request),
  })
  const projector = new Projector(
    pools,
    shards,
    logger,
    instances,
    intervals.projector,
    (place) => worker.readParts(place),
    tracing?.tracer.writeBatch,
  )
  const owns = (shard: number) => instances.owns(shard)
  const integrator = new Integrator(
    pools.project,
    shards,
    heads,
    intervals.transparency,
    logger,
    owns,
  )
  const streamOptions = { intervals: intervals.streams, tokens, logger, maxSubscribers }
  const clients = new Clients(options.config.trustedProxies ?? null)
  const admission = new Admission(clients, intervals.admission)
  const count = { open: 0 }
  const streams = new EventStreams({ pools, reads, shards, admission, count, ...streamOptions })
  const live = new LivePositions({
    readHeads: () => readHeads(pools.control),
    findOpenSessions: (ids) => findOpenSessions(pools.control, ids),
    ...streamOptions,
  })
  const exhausted = new ExhaustedStreams({
    createList: () => new ExhaustedList({ sql: pools.read, projector, history }),
    findOpenSessions: (ids) => findOpenSessions(pools.control, ids),
    count,
    ...streamOptions,
  })
  const refusals = new Outages(logger, {
    level: 'error',
    begun: 'log: flushes are refused',
    ended: 'log: flushes are accepted again',
  })
  const noticeAppended = (shard: number, last: number, events: number) => {
    integrator.noticeAppend(events)
    streams.noticeAppend(shard, last)
    admission.noticeFlushes()
  }
  const catalogWriter = { sql: pools.append, catalog, refresh }
  const registration =
    registerPerDay === null
      ? null
      : new Registration({
          ...{ writer: catalogWriter, control: pools.control, perDay: registerPerDay, logger },
          onLimit: (keys) => metrics.observeLimit(keys),
        })
  const noteOthers = warnOfOthers(logger, (values) => metrics.observeOthers(values))
  const limits = new DimensionLimits({
    ...{ sql: pools.append, background: pools.project, dimensionValues, onOthers: noteOthers },
    onSweepFailed: (error) => logger.warn(error, 'dimensions: values of earlier days were kept'),
  })
  const sources = new Sources({ sql: pools.project, shards, logger })
  const segments = new Segments({ address, sql: pools.control, segmentBytes })
  const log = new Log({
    sql: pools.append,
    shards,
    catalog,
    refreshCatalog: refresh,
    intervals: intervals.log,
    ...acceptance,
    ...(registration && { registerUnknown: registration.register }),
    limitDimensions: limits.limit,
    appendBatch: extending(segments, tracing?.tracer.appendBatch ?? callAppendBatch),
    onRefused: (shard, error) => refusals.note(shard, error),
    onTaken: (shard) => refusals.end(shard),
    onAppended: (shard, batch) => {
      limits.noteAppended(shard, batch.recordedAt, batch.events)
      sources.noteAppended(shard, batch)
      const events = batch.events.length
      projector.noticeAppend(shard, batch)
      noticeAppended(shard, batch.firstPosition + events - 1, events)
    },
  })
  const worker: WorkerThread = new WorkerThread({
    address,
    shards,
    intervals,
    registerPerDay,
    ...acceptance,
    dimensionValues,
    segmentBytes,
    ...(options.config.archive && { archive: options.config.archive }),
    logger,
    projector,
    onLimit: (keys) => registration?.noteLimit(keys),
    onOthers: noteOthers,
    onRefused: (shard, error) => refusals.note(shard, error, 'worker'),
    onTaken: (shard) => refusals.end(shard, 'worker'),
    onAppended: (shard, firstPosition, events) => {
      projector.noticeAppend(shard)
      noticeAppended(shard, firstPosition + events - 1, events)
    },
  })
  async function* readLargeChange(place: EventPlace): AsyncGenerator<CatalogChange> {
    for await (const { change } of worker.readParts(place)) if (change !== null) yield change
  }
  const noticeEvent = (shard: number, position: number) => {
    projector.noticeAppend(shard)
    streams.noticeAppend(shard, position)
  }
  const { pollIntervalMs, ...limitsOfSending } = intervals.webhooks
  const deliverer = new Deliverer({
    ...{ pools, owns, logger, pollIntervalMs },
    sending: { networks: options.config.webhookNetworks ?? null, ...limitsOfSending },
  })
  const attestations = new Attestations({ pools, shards, projector, onAppended: noticeEvent })
  const ahead = new LogAhead({ sql: pools.control, logger })
  const archiver = new Archiver({
    ...{
      address,
      sql: pools.control,
      owns,
      logger,
      pollIntervalMs: intervals.archive.pollIntervalMs,
    },
    archive: options.config.archive ?? NO_ARCHIVE,
  })
  const metrics = new Metrics({
    archive: { ...archive, archiver },
    ...intervals.metrics,
    pools,
    ahead,
    shards,
    replicas: reads.replicas,
    canTakeEach: () => log.canTakeEach(),
    queueLength: () => log.queueLength + worker.queueLength,
    treeSizes: () => heads.sizes,
    instances,
    registration,
  })
  reads.onServed = (served) => metrics.observeRead(served)
  if (tracing !== null) tracing.onDropped = (...dropped) => metrics.observeDroppedSpans(...dropped)
  const readLarge = (place: EventPlace) => worker.readParts(place)
  const history = new AsOfQueries(pools, shards, () => projector.hurrySnapshots(), readLarge)
  return {
    archive: { ...archive, archiver },
    tracer: tracing?.tracer ?? null,
    books: new Books({
      ...{ pools, shards, projector, history },
      recordLarge: (posted, source, key) => worker.record(posted, source, key),
    }),
    adoptions: new Adoptions({
      ...{ pools, projector, ...intervals.adoption },
      ...{ maxUsed: MAX_USED_HERE, scans: null },
    }),
    catalogWriter,
    registration,
    sources,
    rules: new Rules({
      ...{ pools, catalog, projector, history, sources, owns, logger },
      // Appends don't wait for it.
      refresh: () => refreshCatalog(pools.project, catalog, readLargeChange),
      ...intervals.rules,
      onAppended: (shard, position) => {
        noticeEvent(shard, position)
        deliverer.notice()
      },
    }),
    deliverer,
    tokens,
    heads,
    instances,
    projector,
    integrator,
    streams,
    live,
    exhausted,
    log,
    segments,
    ahead,
    attestations,
    metrics,
    clients,
    admission,
    worker,
    history,
    verifications: new Verifications(address, pools.project, logger),
    rebuilds: new RebuildJobs(pools.read, { address, logger }),
  }
}
