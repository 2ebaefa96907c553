import pino from 'pino'
import { createApp } from '../../src/app.ts'
import { Attestations } from '../../src/attestations/attestations.ts'
import { Catalog } from '../../src/catalog/catalog.ts'
import { openPools } from '../../src/db/pool.ts'
import { Attempts } from '../../src/http/attempts.ts'
import { AuditStreams } from '../../src/http/audit/streams.ts'
import { LivePositions } from '../../src/http/live/positions.ts'
import { Metrics } from '../../src/http/metrics.ts'
import { Instances } from '../../src/instances/instances.ts'
import { Log } from '../../src/log/log.ts'
import { History } from '../../src/projector/history.ts'
import { Projector } from '../../src/projector/projector.ts'
import { Reads } from '../../src/replicas/reads.ts'
import { Tokens } from '../../src/tokens/tokens.ts'
import { TreeHeads } from '../../src/transparency/heads.ts'
import { Verifications } from '../../src/verifications/run.ts'
import { makeOrigin } from './origin.ts'
import type { TestDatabase } from './server.ts'
import { TOKENS } from './service.ts'

export type AppRoute = { method: string; path: string }

/** Every route that the app itself knows, hidden ones too. */
export async function listRoutes({ address }: TestDatabase, shards: number): Promise<AppRoute[]> {
  const pools = openPools(address, shards)
  const logger = pino({ level: 'silent' })
  const catalog = new Catalog()
  const tokens = new Tokens(TOKENS)
  const { origin, remove } = await makeOrigin()
  const heads = await TreeHeads.open(pools.read, shards, origin)
  const projector = new Projector(pools, shards, logger)
  const reads = await Reads.open({ sql: pools.read, replicas: [], logger })
  const instances = new Instances({
    ...{ address, shards, version: '0', logger },
    ...{ onShared: () => {}, onWanted: () => {} },
  })
  const app = createApp({
    pools,
    reads,
    shards,
    catalog,
    log: new Log({
      sql: pools.append,
      shards,
      catalog,
      refreshCatalog: async () => {},
      onAppended: () => {},
    }),
    projector,
    history: new History(pools, shards),
    startRebuild: () => false,
    streams: new AuditStreams({ pools, reads, shards, tokens, logger, maxFollowers: 1 }),
    live: new LivePositions({
      readHeads: async () => [],
      findOpenSessions: async () => new Set(),
      ...{ tokens, logger, maxFollowers: 1 },
    }),
    instances,
    heads,
    attestations: new Attestations({ pools, shards, projector, onAppended: () => {} }),
    logPublic: false,
    tokens,
    verifications: new Verifications(address, pools.project, logger),
    attempts: new Attempts(1),
    metrics: new Metrics({
      ...{ pools, replicas: [], queueLength: () => 0, treeSizes: () => [], instances },
    }),
    logger,
    bodyLimitBytes: 1_024,
    isStopping: () => false,
  })
  const routes = app.routes.map(({ method, path }) => ({ method, path }))
  await instances.leave()
  await pools.close()
  await remove()
  return routes
}
