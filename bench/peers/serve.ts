/**
 * Serves one peer: the service itself, or its HTTP edge with another storage for flushes.
 * `bun bench/peers/serve.ts <peer> <address as JSON> [<options as JSON>]`, the address of a database,
 * or the URL of a Redis server.
 */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Elysia } from 'elysia'
import pino from 'pino'
import { Tokens } from '../../src/auth/tokens.ts'
import { Admission } from '../../src/http/admission.ts'
import { auth } from '../../src/http/auth.ts'
import { BodyReader } from '../../src/http/body.ts'
import { Clients } from '../../src/http/clients.ts'
import { flushes } from '../../src/http/flushes/index.ts'
import { Metrics } from '../../src/http/metrics/metrics.ts'
import { UnknownTokenLimiter } from '../../src/http/unknown-tokens.ts'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { openOrigin } from '../../src/proofs/transparency/origin.ts'
import type { ArchiveOptions } from '../../src/retention/open.ts'
import { startService } from '../../src/service/service.ts'
import type { Address } from '../server.ts'
import { TOKENS } from '../workload.ts'
import { collectedUpdates } from './collected-updates.ts'
import { directUpdate } from './direct-update.ts'
import { emmett } from './emmett.ts'
import { redis } from './redis.ts'
import type { Storage } from './storage.ts'

const STORAGES: Record<string, (address: string) => Promise<Storage>> = {
  direct: (address) => directUpdate(JSON.parse(address), false),
  sorted: (address) => directUpdate(JSON.parse(address), true),
  collected: (address) => collectedUpdates(JSON.parse(address)),
  redis,
  emmett: (address) => emmett(JSON.parse(address)),
  /** Stores nothing: the cost of HTTP, roles and validation alone. */
  ceiling: async () => ({ append: async () => {} }),
}

const BODY_LIMIT_BYTES = 16 * 1024 * 1024

/** Options of the service. Defaults: one shard, no replicas, a temporary data directory. */
type ServeOptions = {
  shards?: number
  replicas?: Address[]
  dataDir?: string
  archive?: ArchiveOptions
}

async function main([peer = '', address = '', options = '{}']: string[]): Promise<void> {
  const url =
    peer === 'tallybook'
      ? await serveTallybook(JSON.parse(address), JSON.parse(options) as ServeOptions)
      : await servePeer(peer, address)
  console.log(`${peer} listens on ${url}`)
}

async function serveTallybook(
  address: Address,
  { shards = 1, replicas = [], dataDir, archive }: ServeOptions,
): Promise<string> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), 'tallybook-bench-origin-')))
  const { origin } = await openOrigin(folder, null)
  const service = await startService({
    config: {
      host: '127.0.0.1',
      port: 0,
      shards,
      bodyLimitBytes: BODY_LIMIT_BYTES,
      unknownTokens: 30,
      maxSubscribers: 5_000,
      ...(archive && { archive }),
    },
    address,
    replicas,
    tokens: TOKENS,
    origin,
    logger: pino({ level: 'error' }),
  })
  process.on('SIGTERM', () => service.stop().then(() => process.exit(0)))
  return service.url
}

async function servePeer(peer: string, address: string): Promise<string> {
  const storage = await STORAGES[peer]!(address)
  let position = 0
  const log = {
    append: async (posted: { entries: object }): Promise<AppendOutcome> => {
      try {
        await storage.append(posted.entries as Parameters<Storage['append']>[0])
        const answer = { updated: 1, groups_updated: 1 }
        return { kind: 'appended', replayed: false, shard: 0, position: position++, answer }
      } catch {
        return { kind: 'unavailable', reason: 'database' }
      }
    },
  }
  // Metrics are counted as in the service, but never read here.
  const metrics = new Metrics({
    reuseMs: 1_000,
    ...{ pools: null as never, replicas: [], queueLength: () => 0, treeSizes: () => [] },
    ...{ ahead: { seconds: 0 }, shards: 1, canTakeEach: async () => [true] },
    archive: { archiver: { failing: null }, checks: { unreadable: [] } },
    instances: { count: 1, owns: () => true },
    registration: null,
  })
  const admission = new Admission()
  const app = new Elysia({ normalize: false, serve: { idleTimeout: 60 } })
    .use(
      flushes(
        auth({
          tokens: new Tokens(TOKENS),
          attempts: new UnknownTokenLimiter(30),
          clients: new Clients(),
          pools: null as never,
          admission,
        }),
        {
          log,
          withHints: false,
          tracer: null,
          // No load has a body that large.
          appendLarge: async () => ({ kind: 'unavailable', reason: 'worker ended' }),
          metrics,
          bodies: new BodyReader(BODY_LIMIT_BYTES),
          admission,
        },
      ),
    )
    .listen({ hostname: '127.0.0.1', port: 0 })
  process.on('SIGTERM', () => process.exit(0))
  return `http://127.0.0.1:${app.server!.port}`
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
