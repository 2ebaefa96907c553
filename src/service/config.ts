import type { BlockList } from 'node:net'
import { join } from 'node:path'
import { type Role, TOKEN_VARIABLES } from '../auth/roles.ts'
import { parseNetworks } from '../http/clients.ts'
import { findUrlProblems, splitServers } from '../platform/postgres/connection/target.ts'
import { UserError } from '../platform/user-error.ts'
import { findNameProblem } from '../proofs/merkle/key.ts'
import type { ArchiveOptions } from '../retention/open.ts'
import { openStore } from '../segment-files/open-store.ts'
import { VARIABLES, type Variable, type VariableName } from './variables.ts'

/** Paths of a certificate and its private key, in PEM. */
export type CertificateFiles = { cert: string; key: string }

/** The configuration, read from the environment. */
export type Config = {
  host: string
  /** 0 picks a free port. */
  port: number
  /**
   * Prefix of all paths, such as `/tallybook`, if a proxy serves other programs on the same host;
   * or ''.
   */
  basePath: string
  dataDir: string
  /** null uses the embedded PostgreSQL in the data directory. */
  databaseUrl: string | null
  /** One URL per replica; if empty, all reads go to the database itself. */
  replicaUrls: string[]
  shards: number
  /**
   * The fixed token of each role. If it is null, the service uses the one in its data directory,
   * and creates it on the first start.
   */
  tokens: Record<Role, string | null>
  bodyLimitBytes: number
  /** Seconds after which a connection without a request is closed. */
  idleTimeoutSeconds: number
  /** How many unknown keys all instances together register per day; null if none is registered. */
  registerPerDay: number | null
  /** How many days ago a flush may have been counted. */
  countedAtDays: number
  /** For how many days usage is kept by quarter hours; null for all days. */
  usageQuartersDays: number | null
  /** For how many months usage is then kept by days; null for all months. */
  usageDaysMonths: number | null
  /** How many distinct values of a dimension a shard counts in a day. */
  dimensionValues: number
  /** The size of a segment of the log, with its indexes. */
  segmentBytes: number
  /** Where old segments of the log go, and when. */
  archive: ArchiveOptions
  /** The certificate for HTTPS; null serves plain HTTP. */
  certificate: CertificateFiles | null
  /** Proxies that are believed when they name a client; null for none. */
  trustedProxies: BlockList | null
  /** Networks to which webhooks may go besides the internet; null for none. */
  webhookNetworks: BlockList | null
  /** How many unknown tokens one address may present per minute. */
  unknownTokens: number
  /** Maximum number of concurrent log subscribers. */
  maxSubscribers: number
  /** Token required to read /metrics; null allows everyone. */
  metricsToken: string | null
  /** Separate address for /metrics; null serves it with the other routes. */
  metricsAddress: { host: string; port: number } | null
  /** Name of the transparency log; null uses the name stored in the data directory. */
  logOrigin: string | null
  /** File with the signing keys of the transparency log; null uses those in the data directory. */
  logKeys: string | null
  /**
   * True if everyone may read the transparency log: hashes, sources and idempotency keys, not
   * counters.
   */
  logPublic: boolean
  /** Minutes between two attestations of the projections; 0 attests only on demand. */
  attestMinutes: number
  /** When to verify the database every day, in UTC; null never does. */
  verifyAt: { hour: number; minute: number } | null
  /** Requests that take this long, in milliseconds, are logged; null logs none. */
  slowRequestMs: number | null
  logLevel: string
}

/** Seconds after which a connection without a request is closed by default. */
export const DEFAULT_IDLE_SECONDS = Number(VARIABLES.TALLYBOOK_IDLE_TIMEOUT_SECONDS.default)
/**
 * Current quota periods are sums of quarter hours: of a month in any time zone, and also after the
 * clock was set back by a month.
 */
const MIN_QUARTERS_DAYS = 62
/** The days of a quarter of a year are always there. */
const MIN_DAYS_MONTHS = 3
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/** Reads the environment. Throws a UserError that lists every invalid variable, with the reason. */
export function readConfig(env: Record<string, string | undefined>): Config {
  const problems: string[] = []
  const text = (name: VariableName) => {
    const value = env[name]?.trim()
    return value === undefined || value === '' ? (VARIABLES[name] as Variable).default : value
  }
  const integer = (name: VariableName, from: number, to: number) => {
    const value = text(name) ?? ''
    const number = Number(value)
    if (/^\d+$/.test(value) && number >= from && number <= to) return number
    problems.push(`${name} must be a whole number from ${from} to ${to}, not "${value}".`)
    return from
  }
  const optional = (name: VariableName, from: number, to: number) =>
    text(name) === null ? null : integer(name, from, to)
  const token = (name: VariableName) => {
    const value = text(name)
    if (value === null || /^[\x21-\x7e]{8,255}$/.test(value)) return value
    problems.push(`${name} must be 8 to 255 visible ASCII characters.`)
    return null
  }
  const timeOfDay = (name: VariableName) => {
    const value = text(name)
    if (value === null) return null
    const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(value)
    if (match) return { hour: Number(match[1]), minute: Number(match[2]) }
    problems.push(`${name} must be a time of day in UTC, HH:MM, not "${value}".`)
    return null
  }
  const flag = (name: VariableName) => {
    const value = text(name)
    if (value !== 'true' && value !== 'false') problems.push(`${name} must be true or false.`)
    return value === 'true'
  }
  const origin = (name: VariableName) => {
    const value = text(name)
    const problem = value === null ? null : findNameProblem(value)
    if (problem !== null) problems.push(`${name} ${problem}, such as stats.example.com.`)
    return value
  }
  const address = (name: VariableName) => {
    const value = text(name)
    if (value === null) return null
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(value)
    if (match && Number(match[3]) <= 65_535) {
      return { host: match[1] ?? match[2]!, port: Number(match[3]) }
    }
    problems.push(`${name} must be a host and a port, such as 127.0.0.1:9464, not "${value}".`)
    return null
  }
  const registerPerDay = (mode: VariableName, name: VariableName) => {
    const limit = integer(name, 1, 1_000_000)
    const value = text(mode)
    if (value === 'register') return limit
    if (value !== 'ignore') problems.push(`${mode} must be ignore or register, not "${value}".`)
    return null
  }
  const basePath = (name: VariableName) => {
    const value = (text(name) ?? '').replace(/\/+$/, '')
    if (value === '' || (/^(\/[\w~-][\w.~-]*)+$/.test(value) && value.length <= 255)) return value
    problems.push(`${name} must be a path such as /tallybook, of letters, digits and - . _ ~.`)
    return ''
  }
  const certificate = (certName: VariableName, keyName: VariableName) => {
    const [cert, key] = [text(certName), text(keyName)]
    if (cert !== null && key !== null) return { cert, key }
    if (cert !== key) problems.push(`${certName} and ${keyName} must both be set, or neither.`)
    return null
  }
  const networks = (name: VariableName) => {
    const value = text(name)
    const parsed = value === null ? null : parseNetworks(value)
    if (value !== null && parsed === null) {
      problems.push(`${name} must be networks such as 10.0.0.0/8, 2001:db8::/32, not "${value}".`)
    }
    return parsed
  }
  const archiveUrl = (name: VariableName) => {
    const value = text(name)
    try {
      if (value !== null) openStore(value)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      problems.push(`${name}: ${error.message}`)
    }
    return value
  }
  const logLevel = text('TALLYBOOK_LOG_LEVEL')!
  if (!LOG_LEVELS.includes(logLevel)) {
    problems.push(`TALLYBOOK_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}.`)
  }
  const config: Config = {
    host: text('TALLYBOOK_HOST')!,
    port: integer('TALLYBOOK_PORT', 0, 65_535),
    basePath: basePath('TALLYBOOK_BASE_PATH'),
    dataDir: text('TALLYBOOK_DATA_DIR')!,
    databaseUrl: text('DATABASE_URL'),
    replicaUrls: [],
    shards: integer('TALLYBOOK_SHARDS', 1, 1_024),
    tokens: {
      dp: token(TOKEN_VARIABLES.dp),
      admin: token(TOKEN_VARIABLES.admin),
      auditor: token(TOKEN_VARIABLES.auditor),
    },
    bodyLimitBytes: integer('TALLYBOOK_BODY_LIMIT_BYTES', 1_024, 2 ** 28),
    idleTimeoutSeconds: integer('TALLYBOOK_IDLE_TIMEOUT_SECONDS', 5, 255),
    registerPerDay: registerPerDay('TALLYBOOK_UNKNOWN_KEYS', 'TALLYBOOK_REGISTER_PER_DAY'),
    countedAtDays: integer('TALLYBOOK_COUNTED_AT_DAYS', 1, 3_650),
    usageQuartersDays: optional('TALLYBOOK_USAGE_QUARTERS_DAYS', MIN_QUARTERS_DAYS, 3_650),
    usageDaysMonths: optional('TALLYBOOK_USAGE_DAYS_MONTHS', MIN_DAYS_MONTHS, 120),
    dimensionValues: integer('TALLYBOOK_DIMENSION_VALUES', 1, 10_000),
    segmentBytes: integer('TALLYBOOK_SEGMENT_MB', 1, 65_536) * 2 ** 20,
    archive: {
      url: archiveUrl('TALLYBOOK_ARCHIVE_URL'),
      keepDays: optional('TALLYBOOK_KEEP_DAYS', 1, 36_500),
      cacheFolder: join(text('TALLYBOOK_DATA_DIR')!, 'archive-cache'),
      cacheBytes: integer('TALLYBOOK_ARCHIVE_CACHE_MB', 1, 2 ** 20) * 2 ** 20,
    },
    certificate: certificate('TALLYBOOK_TLS_CERT', 'TALLYBOOK_TLS_KEY'),
    trustedProxies: networks('TALLYBOOK_TRUSTED_PROXIES'),
    webhookNetworks: networks('TALLYBOOK_WEBHOOK_ALLOWED_NETWORKS'),
    unknownTokens: integer('TALLYBOOK_UNKNOWN_TOKENS', 1, 1_000_000_000),
    maxSubscribers: integer(
      // Versions before 0.2 used the name TALLYBOOK_MAX_FOLLOWERS.
      text('TALLYBOOK_MAX_FOLLOWERS') !== null && !env.TALLYBOOK_MAX_SUBSCRIBERS?.trim()
        ? 'TALLYBOOK_MAX_FOLLOWERS'
        : 'TALLYBOOK_MAX_SUBSCRIBERS',
      1,
      1_000_000,
    ),
    metricsToken: token('TALLYBOOK_METRICS_TOKEN'),
    metricsAddress: address('TALLYBOOK_METRICS_ADDRESS'),
    logOrigin: origin('TALLYBOOK_LOG_ORIGIN'),
    logKeys: text('TALLYBOOK_LOG_KEYS'),
    logPublic: flag('TALLYBOOK_LOG_PUBLIC'),
    attestMinutes: integer('TALLYBOOK_ATTEST_MINUTES', 0, 10_080),
    verifyAt: timeOfDay('TALLYBOOK_VERIFY_AT'),
    slowRequestMs: optional('TALLYBOOK_SLOW_REQUEST_MS', 1, 60_000),
    logLevel,
  }
  if (config.archive.keepDays !== null && config.archive.url === null) {
    problems.push('TALLYBOOK_KEEP_DAYS needs TALLYBOOK_ARCHIVE_URL: flushes leave for the archive.')
  }
  if (config.usageDaysMonths !== null && config.usageQuartersDays === null) {
    problems.push(
      'TALLYBOOK_USAGE_DAYS_MONTHS needs TALLYBOOK_USAGE_QUARTERS_DAYS: months are made of days.',
    )
  }
  const urlProblems = (name: VariableName, mustWrite: boolean) => {
    const url = text(name)
    return url === null ? [] : findUrlProblems(name, url, env, { mustWrite })
  }
  problems.push(...urlProblems('DATABASE_URL', true), ...urlProblems('DATABASE_READ_URL', false))
  const readUrl = text('DATABASE_READ_URL')
  if (readUrl !== null) config.replicaUrls = splitServers(readUrl)
  if (readUrl !== null && config.databaseUrl === null) {
    problems.push(
      'DATABASE_READ_URL needs DATABASE_URL: the embedded database has no replicas. Set both, ' +
        'or neither.',
    )
  }
  if (problems.length > 0) throw new UserError([...new Set(problems)].join('\n'))
  return config
}
