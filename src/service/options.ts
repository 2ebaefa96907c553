import type { Logger } from 'pino'
import type { Role } from '../auth/roles.ts'
import type { Intervals } from '../platform/intervals.ts'
import type { ServerAddress } from '../platform/postgres/pool.ts'
import type { Origin } from '../proofs/transparency/origin.ts'
import type { Tracing } from '../tracing/open.ts'
import type { Config } from './config.ts'

/** What a service is started with. */
export type ServiceOptions = {
  config: Pick<
    Config,
    'host' | 'port' | 'shards' | 'bodyLimitBytes' | 'unknownTokens' | 'maxSubscribers'
  > &
    Partial<
      Pick<
        Config,
        | 'basePath'
        | 'certificate'
        | 'trustedProxies'
        | 'verifyAt'
        | 'logPublic'
        | 'attestMinutes'
        | 'idleTimeoutSeconds'
        | 'registerPerDay'
        | 'countedAtDays'
        | 'usageQuartersDays'
        | 'usageDaysMonths'
        | 'dimensionValues'
        | 'segmentBytes'
        | 'archive'
        | 'metricsToken'
        | 'metricsAddress'
        | 'slowRequestMs'
        | 'webhookNetworks'
      >
    >
  address: ServerAddress
  /** Replicas of this server, for reads. */
  replicas?: readonly ServerAddress[]
  tokens: Record<Role, string>
  /** The name and key that sign the transparency log. */
  origin: Origin
  /** Defaults to INTERVALS. */
  intervals?: Intervals
  logger: Logger
  /** null, the default, records no traces. */
  tracing?: Tracing | null
}
