import pino from 'pino'
import { type LoadedTokens, loadTokens } from '../auth/token-files.ts'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../platform/postgres/embedded/index.ts'
import { UserError } from '../platform/user-error.ts'
import { openOrigin } from '../proofs/transparency/origin.ts'
import { readConfig } from '../service/config.ts'
import { type Service, startService } from '../service/service.ts'
import { explainFailure } from './failure.ts'
import { launcherEnded } from './launcher.ts'

/** SIGHUP: the terminal that it was started in is gone. */
const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs the service until one of these signals: then it finishes what it accepted, and ends. */
export async function serve(args: string[]): Promise<void> {
  if (args.length > 0) throw new UserError('serve takes no arguments; see the README.')
  const stopping = Promise.race([stopOnSignal(), launcherEnded()])
  const config = readConfig(process.env)
  const logger = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }))
  const loaded = await loadTokens(config.dataDir, config.tokens)
  announceTokens(loaded)
  const { origin, made: isNew } = await openOrigin(config.dataDir, config.logOrigin)
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
      address: embedded ?? { url: config.databaseUrl! },
      replicas: config.replicaUrls.map((url) => ({ url })),
      tokens: loaded.tokens,
      origin,
      logger,
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

/** Shows tokens to who looks on, not to a file or a collector of logs, which would keep them. */
function announceTokens({ tokens, made, folder }: LoadedTokens): void {
  if (made.length === 0) return
  if (process.stdout.isTTY) {
    for (const role of made) console.log(`New ${role} token (shown once): ${tokens[role]}`)
  } else {
    console.log(`New tokens for ${made.join(', ')} are in ${folder}, a file each.`)
  }
}

async function stop(service: Service): Promise<void> {
  console.log('Stopping')
  await service.stop()
}

/** A second signal doesn't hurry it: what was accepted is finished, in seconds. */
function stopOnSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of STOPPING) process.on(signal, () => resolve())
  })
}

/** Rejects when the embedded server ends by itself; never where there is none. */
async function endOfDatabase(embedded: EmbeddedPostgres | null): Promise<void> {
  if (embedded === null) return new Promise(() => {})
  const code = await embedded.exited
  throw new UserError(`The embedded PostgreSQL ended by itself (exit code ${code}).`)
}
