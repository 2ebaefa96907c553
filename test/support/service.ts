import { afterAll, beforeAll } from 'bun:test'
import pino, { type Logger } from 'pino'
import { parseNetworks } from '../../src/http/clients.ts'
import type { Intervals } from '../../src/platform/intervals.ts'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import type { Origin } from '../../src/proofs/transparency/origin.ts'
import type { ArchiveOptions } from '../../src/retention/open.ts'
import { type CertificateFiles, DEFAULT_IDLE_SECONDS } from '../../src/service/config.ts'
import { type Service, startService } from '../../src/service/service.ts'
import type { Tracing } from '../../src/tracing/open.ts'
import { TEST_INTERVALS } from './intervals.ts'
import { makeOrigin } from './origin.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from './server.ts'

/** The tokens of a test service, by role. */
export const TOKENS = { dp: 'dp-token-1', admin: 'admin-token-1', auditor: 'auditor-token-1' }

export type TestService = {
  url: string
  shards: number
  database: TestDatabase
  /** Sends a request with the token of `role`, or without a token if null. */
  fetch(role: keyof typeof TOKENS | null, path: string, init?: RequestInit): Promise<Response>
  /** Posts a body as `dp`: a string unchanged, anything else as JSON. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>
  putCatalog(catalog: unknown): Promise<Response>
  /** Posts a balance or a correction as `admin`; returns its position. */
  act(path: string, body: unknown, headers?: Record<string, string>): Promise<string>
  /** Reads a path as `admin` and returns its JSON. */
  read<Body>(path: string): Promise<Body>
  /** Stops this instance; the database stays. */
  stop(): Promise<void>
  /** Stops it and drops its database. */
  end(): Promise<void>
}

export type TestServiceOptions = {
  /** Start on this database, for example as another instance, instead of on a new one. */
  database?: TestDatabase
  /** Another address of that database, such as a proxy's. */
  address?: ServerAddress
  /** Replicas of that server, for reads. */
  replicas?: readonly ServerAddress[]
  shards?: number
  /** A free port if absent. */
  port?: number
  idleTimeoutSeconds?: number
  metricsAddress?: { host: string; port: number }
  bodyLimitBytes?: number
  unknownTokens?: number
  /** Files for HTTPS; plain HTTP if absent. */
  certificate?: CertificateFiles
  /** Networks of proxies; see TALLYBOOK_TRUSTED_PROXIES. */
  trustedProxies?: string
  /** See TALLYBOOK_WEBHOOK_ALLOWED_NETWORKS. */
  webhookNetworks?: string
  /** Register at most so many unknown keys per day; null, the default, registers none. */
  registerPerDay?: number | null
  /** Default 35. */
  countedAtDays?: number
  /** For how many days usage is kept by quarter hours; null, the default, for all. */
  usageQuartersDays?: number | null
  usageDaysMonths?: number | null
  /** Default 1,000. */
  dimensionValues?: number
  /** See TALLYBOOK_SEGMENT_MB, in bytes. */
  segmentBytes?: number
  /** Where old segments are: a URL, and for how many days flushes stay; none if absent. */
  archive?: ArchiveOptions
  maxSubscribers?: number
  logPublic?: boolean
  basePath?: string
  /** The origin, if another or an earlier instance uses the same; otherwise a new one. */
  origin?: Origin
  /** Overrides for TEST_INTERVALS. */
  intervals?: Partial<Intervals>
  logger?: Logger
  tracing?: Tracing
  slowRequestMs?: number
}

/** Starts a real service on a real database in this process; tests use it through HTTP. */
export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const shards = options.shards ?? TEST_SHARDS
  const database = options.database ?? (await createDatabase({ shards }))
  const own = options.origin ? null : await makeOrigin()
  const service: Service = await startService({
    config: {
      host: '127.0.0.1',
      port: options.port ?? 0,
      shards,
      idleTimeoutSeconds: options.idleTimeoutSeconds ?? DEFAULT_IDLE_SECONDS,
      metricsAddress: options.metricsAddress ?? null,
      bodyLimitBytes: options.bodyLimitBytes ?? 16 * 1024 * 1024,
      // Tests send many unknown tokens.
      unknownTokens: options.unknownTokens ?? 1_000_000,
      certificate: options.certificate ?? null,
      trustedProxies: options.trustedProxies ? parseNetworks(options.trustedProxies) : null,
      webhookNetworks: options.webhookNetworks ? parseNetworks(options.webhookNetworks) : null,
      registerPerDay: options.registerPerDay ?? null,
      ...(options.countedAtDays !== undefined && { countedAtDays: options.countedAtDays }),
      usageQuartersDays: options.usageQuartersDays ?? null,
      usageDaysMonths: options.usageDaysMonths ?? null,
      ...(options.dimensionValues && { dimensionValues: options.dimensionValues }),
      ...(options.segmentBytes && { segmentBytes: options.segmentBytes }),
      ...(options.archive && { archive: options.archive }),
      maxSubscribers: options.maxSubscribers ?? 5_000,
      logPublic: options.logPublic ?? false,
      basePath: options.basePath ?? '',
      slowRequestMs: options.slowRequestMs ?? null,
    },
    address: options.address ?? database.address,
    replicas: options.replicas ?? [],
    tokens: TOKENS,
    origin: options.origin ?? own!.origin,
    intervals: { ...TEST_INTERVALS, ...options.intervals },
    tracing: options.tracing ?? null,
    logger: options.logger ?? pino({ level: process.env.TALLYBOOK_TEST_LOG_LEVEL ?? 'silent' }),
  })
  const send: TestService['fetch'] = (role, path, init = {}) => {
    const headers = new Headers(init.headers)
    if (role !== null) headers.set('authorization', `Bearer ${TOKENS[role]}`)
    return fetch(`${service.url}${path}`, { ...init, headers })
  }
  const stop = async () => {
    await service.stop()
    await own?.remove()
  }
  return {
    url: service.url,
    shards,
    database,
    fetch: send,
    post: (path, body, headers = {}) =>
      send('dp', path, {
        method: 'POST',
        headers,
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    putCatalog: (catalog) =>
      send('admin', '/admin/catalog', { method: 'PUT', body: JSON.stringify(catalog) }),
    act: async (path, body, headers = { 'idempotency-key': crypto.randomUUID() }) => {
      const response = await send('admin', path, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      })
      if (response.status !== 201) throw new Error(`${path}: ${await response.text()}`)
      return ((await response.json()) as { position: string }).position
    },
    read: async <Body>(path: string) => {
      const response = await send('admin', path)
      if (response.status !== 200) throw new Error(`${path}: ${response.status}`)
      return (await response.json()) as Body
    },
    stop,
    end: async () => {
      await stop()
      await database.drop()
    },
  }
}

/** A service for the tests of one file, started before and stopped with its database after them. */
export function useService(options: TestServiceOptions = {}): TestService {
  const service = {} as TestService
  beforeAll(async () => {
    Object.assign(service, await startTestService(options))
  })
  afterAll(() => service.end?.())
  return service
}

/** Two instances on one database for the tests of one file; the first drops the database. */
export function useInstances(options: TestServiceOptions = {}): [TestService, TestService] {
  const one = {} as TestService
  const other = {} as TestService
  beforeAll(async () => {
    Object.assign(one, await startTestService(options))
    Object.assign(other, await startTestService({ ...options, database: one.database }))
  })
  afterAll(async () => {
    await other.stop?.()
    await one.end?.()
  })
  return [one, other]
}
