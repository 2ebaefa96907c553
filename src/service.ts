import type { Logger } from 'pino'
import { createApp } from './app.ts'
import { Attestations } from './attestations/attestations.ts'
import { Catalog } from './catalog/catalog.ts'
import { refreshCatalog } from './catalog/refresh.ts'
import type { Config } from './config.ts'
import { migrate } from './db/migrate.ts'
import { connectAsOwner, openPools, type Pools, type ServerAddress } from './db/pool.ts'
import { Attempts } from './http/attempts.ts'
import { AuditStreams } from './http/audit/streams.ts'
import { Metrics } from './http/metrics.ts'
import { Log } from './log/log.ts'
import { createCheckpoints } from './projector/checkpoint.ts'
import { History } from './projector/history.ts'
import { Projector } from './projector/projector.ts'
import { sweepGenerations } from './projector/rebuild/generation.ts'
import { RebuildJobs } from './rebuild-jobs.ts'
import { keepFresh } from './tokens/refresh.ts'
import type { Role } from './tokens/roles.ts'
import { Tokens } from './tokens/tokens.ts'
import { citePrevious } from './transparency/cite.ts'
import { TreeHeads } from './transparency/heads.ts'
import { Integrator } from './transparency/integrator.ts'
import type { Origin } from './transparency/origin.ts'
import { Verifications } from './verifications/run.ts'
import { scheduleVerifications } from './verifications/schedule.ts'

/** Milliseconds that requests, and a pass, get to end when the service stops. */
const STOP_MS = 3_000

/** Milliseconds that accepted flushes get to reach a database that is slow to answer. */
const DRAIN_MS = 8_000

/** A running service. */
export type Service = {
  url: string
  /** Finishes what was accepted, then ends. */
  stop(): Promise<void>
}

export type ServiceOptions = {
  config: Pick<
    Config,
    'host' | 'port' | 'shards' | 'bodyLimitBytes' | 'unknownTokens' | 'maxFollowers'
  > &
    Partial<Pick<Config, 'verifyAt' | 'logPublic' | 'attestMinutes'>>
  address: ServerAddress
  tokens: Record<Role, string>
  /** Under what the transparency log is signed. */
  origin: Origin
  logger: Logger
}

/** Brings the database up to date and serves. Throws StartError where it can't. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { address, config } = options
  const owner = connectAsOwner(address)
  try {
    await migrate(owner, config.shards)
    await createCheckpoints(owner)
    await sweepGenerations(owner)
  } finally {
    await owner.end({ timeout: 5 })
  }
  const pools = openPools(address, config.shards)
  try {
    return await serve(options, pools)
  } catch (error) {
    await pools.close()
    throw error
  }
}

async function serve(options: ServiceOptions, pools: Pools): Promise<Service> {
  const { config, logger } = options
  const { host, port, shards, bodyLimitBytes, unknownTokens, maxFollowers } = config
  const catalog = new Catalog()
  const refresh = () => refreshCatalog(pools.append, catalog)
  await refresh()

  const tokens = new Tokens(options.tokens)
  await tokens.refresh(pools.read)

  const heads = await TreeHeads.open(pools.project, shards, options.origin)
  await citePrevious(pools.append, shards, options.origin)
  const projector = new Projector(pools, shards, logger)
  const integrator = new Integrator(pools.project, shards, heads, logger)
  const streams = new AuditStreams({ pools, shards, tokens, logger, maxFollowers })
  const log = new Log({
    sql: pools.append,
    shards,
    catalog,
    refreshCatalog: refresh,
    onAppended: (shard, batch) => {
      projector.noticeAppend(shard, batch)
      integrator.noticeAppend(batch.events.length)
      streams.noticeAppend(shard, batch.firstPosition + batch.events.length - 1)
    },
  })
  const attestations = new Attestations({
    pools,
    shards,
    projector,
    onAppended: (shard, position) => {
      projector.noticeAppend(shard)
      streams.noticeAppend(shard, position)
    },
  })
  const verifications = new Verifications(options.address, pools.project, logger)
  const metrics = new Metrics({
    pools,
    queueLength: () => log.queueLength,
    treeSizes: () => heads.sizes,
  })
  const rebuilds = new RebuildJobs(pools.read, { address: options.address, logger })
  let stopping = false
  const app = createApp({
    pools,
    shards,
    catalog,
    log,
    projector,
    history: new History(pools, shards),
    startRebuild: (projection) => rebuilds.start(projection),
    streams,
    heads,
    attestations,
    logPublic: config.logPublic ?? false,
    tokens,
    verifications,
    attempts: new Attempts(unknownTokens),
    metrics,
    logger,
    bodyLimitBytes,
    isStopping: () => stopping,
  })
  await rebuilds.startChanged()
  app.listen({ hostname: host, port })
  projector.start()
  integrator.start()
  const schedule = config.verifyAt && scheduleVerifications(config.verifyAt, verifications, logger)
  const minutes = config.attestMinutes ?? 0
  const attesting = minutes > 0 ? attestations.schedule(minutes, logger) : null
  const fresh = keepFresh(tokens, pools.read, logger)

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${app.server?.port ?? port}`,
    stop: async () => {
      stopping = true
      fresh.stop()
      const rebuildsEnded = rebuilds.stop()
      // They would not end by themselves.
      streams.stop()
      schedule?.stop()
      attesting?.stop()
      const verified = verifications.stop()
      const ended = app.server?.stop()
      await Promise.race([attestations.stop(), Bun.sleep(STOP_MS)])
      await Promise.race([log.stop(), Bun.sleep(DRAIN_MS)])
      await Promise.race([ended, Bun.sleep(STOP_MS)])
      await app.server?.stop(true)
      await Promise.race([Promise.all([projector.stop(), integrator.stop()]), Bun.sleep(STOP_MS)])
      await rebuildsEnded
      await verified
      await pools.close()
    },
  }
}
