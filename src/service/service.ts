import { keepFresh } from '../auth/token-refresh.ts'
import { Reads } from '../cluster/replicas/reads.ts'
import { UnknownTokenLimiter } from '../http/unknown-tokens.ts'
import { withinOr } from '../platform/async/deadline.ts'
import { INTERVALS, type Intervals } from '../platform/intervals.ts'
import { readPlacement } from '../platform/postgres/citus/distribute.ts'
import { migrate } from '../platform/postgres/migrate.ts'
import { readNameOrder } from '../platform/postgres/names.ts'
import { connectAsOwner, openPools, type Pools } from '../platform/postgres/pool.ts'
import { refuseSharedSessions } from '../platform/postgres/pooler.ts'
import { readAttestedUsage } from '../proofs/attestations/newest.ts'
import { scheduleVerifications } from '../proofs/integrity/scheduled/schedule.ts'
import { keepPeriodsOpen } from '../quota/open-periods.ts'
import { createCheckpoints } from '../read-model/projector/checkpoint.ts'
import { sweepGenerations } from '../read-model/rebuild/generation.ts'
import { NO_ARCHIVE, type OpenedArchive, openArchive } from '../retention/open.ts'
import { keepRolledUp } from '../rollups/keep-rolled-up.ts'
import { startPacking } from '../segments/packing.ts'
import { type Components, createComponents } from './components.ts'
import { DEFAULT_IDLE_SECONDS } from './config.ts'
import { Listener } from './listener.ts'
import type { ServiceOptions } from './options.ts'
import { createApp, createMetricsApp } from './routes.ts'

const NOT_DISTRIBUTED =
  'This database has Citus, but the tables are only on this node. Stop the services on it and ' +
  'run `tallybook init --citus` to distribute them over its workers (docs/guides/citus.md).'

const NO_DAYS_ON_CITUS =
  'TALLYBOOK_USAGE_QUARTERS_DAYS has no effect on Citus: all usage is kept by quarter hours.'

const NO_ICU =
  'PostgreSQL had no ICU support when the schema was created: lists by name use the ' +
  "database's own collation."

/** A running service. */
export type Service = {
  url: string
  /** Finishes accepted requests, then stops. */
  stop(): Promise<void>
}

/** Migrates the database and starts serving. Throws UserError if it can't. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { address, config } = options
  await refuseSharedSessions(address)
  const owner = connectAsOwner(address)
  let keepsDays = true
  try {
    await migrate(owner, config.shards, config.segmentBytes)
    const placement = await readPlacement(owner)
    if (placement === 'alone') options.logger.warn(NOT_DISTRIBUTED)
    keepsDays = placement === 'no citus'
    if (!keepsDays && (config.usageQuartersDays ?? null) !== null) {
      options.logger.warn(NO_DAYS_ON_CITUS)
    }
    if ((await readNameOrder(owner)) === 'own') options.logger.warn(NO_ICU)
    await createCheckpoints(owner)
    await sweepGenerations(owner)
  } finally {
    await owner.end({ timeout: 5 })
  }
  const { intervals = INTERVALS } = options
  const pools = openPools(address, config.shards, intervals.database)
  const archive = openArchive(address, pools, config.archive ?? NO_ARCHIVE, intervals.archive)
  let reads: Reads | null = null
  try {
    const { replicas = [], logger } = options
    reads = await Reads.open({
      sql: pools.read,
      replicas,
      logger,
      intervals: intervals.replicas,
    })
    const served = keepsDays
      ? options
      : { ...options, config: { ...config, usageQuartersDays: null, usageDaysMonths: null } }
    return await serve(served, pools, reads, archive)
  } catch (error) {
    await reads?.close()
    await archive.close()
    await pools.close()
    throw error
  }
}

async function serve(
  options: ServiceOptions,
  pools: Pools,
  reads: Reads,
  archive: OpenedArchive,
): Promise<Service> {
  const { config, logger } = options
  const { host, port, shards, bodyLimitBytes, unknownTokens } = config
  const { basePath = '', metricsAddress = null, metricsToken = null } = config
  const components = await createComponents(options, pools, reads, archive)
  let stopping = false
  const app = createApp({
    ...components,
    pools,
    reads,
    shards,
    logger,
    basePath,
    bodyLimitBytes,
    idleTimeoutSeconds: config.idleTimeoutSeconds ?? DEFAULT_IDLE_SECONDS,
    startRebuild: (projection) => components.rebuilds.start(projection),
    logPublic: config.logPublic ?? false,
    hasMetrics: metricsAddress === null,
    metricsToken,
    slowRequestMs: config.slowRequestMs ?? null,
    attempts: new UnknownTokenLimiter(unknownTokens),
    isStopping: () => stopping,
  })
  await components.rebuilds.startChanged()
  await components.instances.join()
  const { pollIntervalMs } = (options.intervals ?? INTERVALS).certificate
  const common = { certificate: null, basePath: '', pollIntervalMs, logger }
  const { certificate = null } = config
  const listener = new Listener(app, { ...common, host, port, basePath, certificate })
  const metricsListener =
    metricsAddress &&
    new Listener(createMetricsApp(components.metrics, components.admission, metricsToken), {
      ...common,
      ...metricsAddress,
    })
  try {
    await metricsListener?.start()
    await listener.start()
  } catch (error) {
    await metricsListener?.end()
    await components.instances.leave()
    throw error
  }
  components.projector.start()
  components.integrator.start()
  components.deliverer.start()
  const timers = startTimers(options, pools, components)
  return {
    url: listener.url,
    stop: async () => {
      stopping = true
      for (const timer of timers) timer.stop()
      void metricsListener?.end()
      await stopComponents(components, listener, options.intervals?.stop ?? INTERVALS.stop)
      await reads.close()
      await archive.close()
      await pools.close()
      await options.tracing?.close()
    },
  }
}

/** Starts periodic work. */
function startTimers(
  { address, config, logger, intervals = INTERVALS }: ServiceOptions,
  pools: Pools,
  components: Components,
) {
  const { shards, verifyAt, attestMinutes = 0 } = config
  const kept = { day: config.usageQuartersDays ?? null, month: config.usageDaysMonths ?? null }
  const { attestations, instances, tokens, verifications } = components
  const owns = (shard: number) => instances.owns(shard)
  const readAttested = (shard: number) => readAttestedUsage(pools.read, shard)
  const common = { sql: pools.project, shards, owns, readAttested, logger }
  return [
    keepFresh(tokens, pools.control, intervals.tokens, logger),
    components.ahead.start(),
    components.segments.start({ shards, owns, logger, ...intervals.segments }),
    startPacking({ address, sql: pools.control, shards, owns, logger, ...intervals.packing }),
    components.archive.archiver.start(),
    ...startFileChecks(components, pools, intervals.archive.checkEachMs),
    components.sources.start(),
    components.rules.start(),
    keepPeriodsOpen({ ...common, ...intervals.quota }),
    ...(kept.day === null ? [] : [keepRolledUp({ ...common, kept, ...intervals.rollups })]),
    ...(verifyAt ? [scheduleVerifications(verifyAt, verifications, logger)] : []),
    ...(attestMinutes > 0 ? [attestations.schedule(attestMinutes, logger)] : []),
  ]
}

function startFileChecks({ archive }: Components, pools: Pools, eachMs: number) {
  const { store, checks } = archive
  return store === null ? [] : [checks.start(pools.control, store, eachMs)]
}

/**
 * Stops the components, each in bounded time, in an order in which none needs one that has already
 * stopped.
 */
async function stopComponents(
  components: Components,
  listener: Listener,
  { drainMs, timeoutMs }: Intervals['stop'],
): Promise<void> {
  const leaving = components.instances.leave()
  const rebuildsEnded = components.rebuilds.stop()
  // Streams do not end by themselves.
  components.streams.stop()
  components.live.stop()
  components.exhausted.stop()
  const verified = Promise.all([
    ...[components.verifications.stop(), components.archive.archiver.stop()],
  ])
  // Accepted flushes reach the database and are answered.
  const drained = Promise.all([
    ...[components.log.stop(), components.worker.stop()],
    ...[listener.stop(), components.attestations.stop()],
  ])
  await withinOr(drainMs, drained, null)
  await listener.end()
  const projected = Promise.all([
    ...[components.projector.stop(), components.integrator.stop()],
    components.deliverer.stop(),
  ])
  const ended = components.worker.end(timeoutMs)
  await withinOr(timeoutMs, projected, null)
  await ended
  await rebuildsEnded
  await verified
  await leaving
}
