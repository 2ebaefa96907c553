import {
  DataDirInUse,
  findRunningServer,
  hasCluster,
  startEmbeddedPostgres,
} from '../platform/postgres/embedded/index.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { checkSchema, migrate } from '../platform/postgres/migrate.ts'
import { connectAsOwner, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'
import { refuseSharedSessions } from '../platform/postgres/pooler.ts'
import { UserError } from '../platform/user-error.ts'
import type { Config } from '../service/config.ts'
import { untilInterrupted } from './interrupt.ts'

/** The service's database, opened for the duration of a command. */
export type CommandDatabase = {
  address: ServerAddress
  /** Stops the server if this command started it. */
  close(): Promise<void>
}

/** JSON of a ServerAddress; set only by a service that runs a command as a child process. */
export const ADDRESS_VARIABLE = 'TALLYBOOK_DATABASE_ADDRESS'

/**
 * Opens the service's database: the one in DATABASE_URL, else that of the service running on the
 * data directory, else the embedded one, started for this command. It has this version's schema:
 * the schema of a running service is checked, any other is migrated.
 *
 * The data directory's lock decides whether a service is running, so no second server ever starts,
 * and a service that starts during the command is refused. Ctrl-C during the start stops the server
 * again. If the command is killed, the next start stops the server that is left. Throws UserError.
 */
export async function openDatabase(
  config: Config,
  log: (message: string) => void,
  options: { create?: boolean } = {},
): Promise<CommandDatabase> {
  const interrupted = untilInterrupted()
  const given = process.env[ADDRESS_VARIABLE]
  if (given) return openRunning(JSON.parse(given) as ServerAddress)
  if (config.databaseUrl !== null) {
    return openExternal({ url: config.databaseUrl }, config)
  }
  if (!options.create && !hasCluster(config.dataDir)) {
    throw new UserError(
      `There is no database in ${config.dataDir}: set TALLYBOOK_DATA_DIR or DATABASE_URL.`,
    )
  }
  try {
    return await startForCommand(config, log, interrupted)
  } catch (error) {
    if (!(error instanceof DataDirInUse)) throw error
    const running = findRunningServer(config.dataDir)
    if (running === null) throw betweenStates()
    return openRunning(running)
  }
}

async function startForCommand(
  config: Config,
  log: (message: string) => void,
  interrupted: AbortSignal,
): Promise<CommandDatabase> {
  interrupted.throwIfAborted()
  const server = await startEmbeddedPostgres({ dataDir: config.dataDir, log })
  try {
    interrupted.throwIfAborted()
    await withOwner(server.address, (owner) => migrate(owner, config.shards, config.segmentBytes))
    interrupted.throwIfAborted()
  } catch (error) {
    await server.stop()
    throw error
  }
  return { address: server.address, close: server.stop }
}

async function openExternal(
  address: ServerAddress,
  { shards, segmentBytes }: Config,
): Promise<CommandDatabase> {
  try {
    await refuseSharedSessions(address)
    await withOwner(address, (owner) => migrate(owner, shards, segmentBytes))
  } catch (error) {
    if (!isUnavailable(error)) throw error
    const { message } = error as Error
    throw new UserError(`The database in DATABASE_URL can't be reached: ${message}.`)
  }
  return { address, close: async () => {} }
}

async function openRunning(address: ServerAddress): Promise<CommandDatabase> {
  try {
    await withOwner(address, checkSchema)
  } catch (error) {
    if (isUnavailable(error)) throw betweenStates()
    throw error
  }
  return { address, close: async () => {} }
}

function betweenStates(): UserError {
  return new UserError(
    'The service on this data directory is starting or stopping: try again in a moment.',
  )
}

async function withOwner(address: ServerAddress, work: (owner: Sql) => Promise<void>) {
  const owner = connectAsOwner(address)
  try {
    await work(owner)
  } finally {
    await owner.end({ timeout: 5 })
  }
}
