import pino, { type Logger } from 'pino'
import { type LoadedTokens, loadTokens } from '../auth/token-files.ts'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../platform/postgres/embedded/index.ts'
import { UserError } from '../platform/user-error.ts'
import { openOrigin } from '../proofs/transparency/origin.ts'
import { readConfig } from '../service/config.ts'
import { type Service, startService } from '../service/service.ts'
import type { Tracing } from '../tracing/open.ts'
import { readTraceSettings } from '../tracing/settings.ts'
import { explainFailure } from './failure.ts'
import { launcherEnded } from './launcher.ts'

/** Signals that stop the service; SIGHUP means that its terminal is gone. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Printed by --help, and in docs/reference/cli.md. */
export const USAGE = 'Usage: tallybook serve'

/** Runs the service until a stop signal: it then finishes all accepted work and exits. */
export async function serve(args: string[]): Promise<void> {
  if (args.length > 0) throw new UserError('serve takes no arguments; see the README.')
  const stopping = Promise.race([stopOnSignal(), launcherEnded()])
  const config = readConfig(process.env)
  const logger = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }))
  const loaded = await loadTokens(config.dataDir, config.tokens)
  announceTokens(loaded)
  const { dataDir, logOrigin, logKeys } = config
  const { origin, made: isNew } = await openOrigin(dataDir, logOrigin, logKeys)
  if (isNew) console.log(`New transparency log, signed as ${origin.name}`)

  const embedded =
    config.databaseUrl === null
      ? await startEmbeddedPostgres({
          dataDir: config.dataDir,
          log: (message) => logger.info(message),
        })
      : null
  try {
    const service = await startService({
      config,
      address: embedded?.address ?? { url: config.databaseUrl! },
      replicas: config.replicaUrls.map((url) => ({ url })),
      tokens: loaded.tokens,
      origin,
      logger,
      tracing: await openTracing(logger),
    }).catch((error: unknown) => {
      throw explainFailure(error, 'The service could not start')
    })
    console.log(`Tallybook listens on ${service.url}`)
    await Promise.race([stopping, endOfDatabase(embedded)])
    await stop(service)
  } finally {
    await embedded?.stop()
  }
  process.exit(0)
}

/** Prints tokens only to a terminal: a file or a log collector would store them. */
function announceTokens({ tokens, made, folder }: LoadedTokens): void {
  if (made.length === 0) return
  if (process.stdout.isTTY) {
    for (const role of made) console.log(`New ${role} token (shown once): ${tokens[role]}`)
  } else {
    console.log(`New tokens for ${made.join(', ')} are in ${folder}, one file each.`)
  }
}

/** Loads what records traces only if the environment asks for them. */
async function openTracing(logger: Logger): Promise<Tracing | null> {
  const settings = readTraceSettings(process.env)
  if (settings === null) return null
  const tracing = await import('../tracing/open.ts')
  return tracing.openTracing(settings, logger)
}

async function stop(service: Service): Promise<void> {
  console.log('Stopping')
  await service.stop()
}

/**
 * Resolves at the first stop signal. A second one changes nothing: accepted work still finishes,
 * within seconds.
 */
function stopOnSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of STOP_SIGNALS) process.on(signal, () => resolve())
  })
}

/** Rejects when the embedded server ends unexpectedly; never settles if there is none. */
async function endOfDatabase(embedded: EmbeddedPostgres | null): Promise<void> {
  if (embedded === null) return new Promise(() => {})
  const code = await embedded.exited
  throw new UserError(`The embedded PostgreSQL exited unexpectedly (exit code ${code}).`)
}
