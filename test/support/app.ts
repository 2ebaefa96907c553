import pino from 'pino'
import { Reads } from '../../src/cluster/replicas/reads.ts'
import { toServed } from '../../src/http/base-path.ts'
import { UnknownTokenLimiter } from '../../src/http/unknown-tokens.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { NO_ARCHIVE, openArchive } from '../../src/retention/open.ts'
import { createComponents } from '../../src/service/components.ts'
import { createApp } from '../../src/service/routes.ts'
import { makeOrigin } from './origin.ts'
import type { TestDatabase } from './server.ts'
import { TOKENS } from './service.ts'

export type AppRoute = { method: string; path: string }

/** Lists every route of the app, including those that OpenAPI hides. */
export async function listRoutes({ address }: TestDatabase, shards: number): Promise<AppRoute[]> {
  const logger = pino({ level: 'silent' })
  const bounds = { shards, bodyLimitBytes: 1_024, unknownTokens: 1, maxSubscribers: 1 }
  const { origin, remove } = await makeOrigin()
  const pools = openPools(address, shards)
  const reads = await Reads.open({ sql: pools.read, replicas: [], logger })
  const config = { host: '127.0.0.1', port: 0, ...bounds }
  const options = { config, address, tokens: TOKENS, origin, logger }
  const archive = openArchive(address, pools, NO_ARCHIVE)
  const components = await createComponents(options, pools, reads, archive)
  const app = createApp({
    basePath: '',
    ...components,
    ...bounds,
    pools,
    reads,
    logger,
    startRebuild: () => false,
    logPublic: false,
    hasMetrics: true,
    metricsToken: null,
    slowRequestMs: null,
    idleTimeoutSeconds: 90,
    attempts: new UnknownTokenLimiter(bounds.unknownTokens),
    isStopping: () => false,
  })
  const routes = app.routes.map(({ method, path }) => ({ method, path: toServed(path) }))
  await components.instances.leave()
  await archive.close()
  await pools.close()
  await remove()
  return routes
}
