import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { chooseAccount } from './account.ts'
import { findBinaries } from './binaries.ts'
import { ensureCluster, NAME } from './cluster.ts'
import { explain } from './error.ts'
import { readSocket } from './leftover.ts'
import { acquireLock } from './lock.ts'
import { findPlace, findSocketDirectory } from './place.ts'
import { startServer } from './server.ts'
import { openServerLog } from './serverlog.ts'
import { stopProcess } from './stop.ts'

export { DataDirInUse, EmbeddedPostgresError } from './error.ts'

/** The address of an embedded server. */
export type EmbeddedAddress = {
  /** The socket's directory: postgres.js takes a `host` that starts with "/" as one. */
  host: string
  port: number
  user: string
  database: string
}

/** A running embedded server. */
export type EmbeddedPostgres = {
  address: EmbeddedAddress
  /** Resolves with the exit code if the server exits by itself; never resolves after `stop`. */
  exited: Promise<number | null>
  /** Stops the server and releases the data directory. Idempotent. */
  stop(): Promise<void>
}

// How long stop() waits for a fast shutdown, in ms: below the 10 s that docker stop allows.
const FAST_STOP_MS = 7_000

/**
 * Starts PostgreSQL on the data directory. Creates what is missing, and cleans up after a killed
 * service. Refuses a second service on the same data directory. Throws EmbeddedPostgresError with a
 * full sentence if the user must solve a problem.
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string
  log: (message: string) => void
}): Promise<EmbeddedPostgres> {
  // The steps to undo, last first, on stop or if the start fails half-way.
  const undo: (() => void | Promise<void>)[] = []
  const undoAll = async () => {
    for (const step of undo.splice(0).reverse()) {
      // A failed step must not prevent the others, above all the release of the lock.
      try {
        await step()
      } catch (error) {
        options.log(`cleaning up after PostgreSQL: ${error}`)
      }
    }
  }
  try {
    return await start(options.dataDir, options.log, undo, undoAll)
  } catch (error) {
    await undoAll()
    throw explain(error, `PostgreSQL can't be started in ${options.dataDir}`)
  }
}

async function start(
  directory: string,
  log: (message: string) => void,
  undo: (() => void | Promise<void>)[],
  undoAll: () => Promise<void>,
): Promise<EmbeddedPostgres> {
  const dataDir = makeDataDir(directory)
  const account = await chooseAccount(ownerOf(join(dataDir, 'postgres')))
  const lockPath = join(dataDir, 'postgres.lock')
  const lock = await acquireLock(lockPath)
  undo.push(() => lock.release())

  const cluster = await findPlace(dataDir, account, log)
  if (`${cluster}.lock` !== lockPath) {
    // A copied data directory links to the same cluster, so the cluster has its own lock.
    const clusterLock = await acquireLock(`${cluster}.lock`)
    undo.push(() => clusterLock.release())
  }
  const binaries = await findBinaries(account, dirname(cluster), log)
  await ensureCluster(cluster, binaries, account, log)
  const socket = await findSocketDirectory(cluster, account)
  if (socket.temporary) undo.push(() => rmSync(socket.path, { recursive: true, force: true }))
  const serverLog = openServerLog(join(dataDir, 'postgres.log'), account)
  undo.push(() => serverLog.close())

  const server = await startServer({
    cluster,
    socketDirectory: socket.path,
    binaries,
    account,
    serverLog,
    log,
  })
  let stopping: Promise<void> | undefined
  undo.push(() =>
    stopProcess({
      signal: (name) => server.kill(name),
      isGone: async () => server.exitCode !== null || server.signalCode !== null,
      fastMs: FAST_STOP_MS,
    }),
  )
  return {
    address: { host: socket.path, port: 5432, user: NAME, database: NAME },
    exited: new Promise((resolve) => {
      server.exited.then(() => {
        if (stopping !== undefined) return
        log(`PostgreSQL exited unexpectedly:\n${serverLog.lastLines()}`)
        resolve(server.exitCode)
      })
    }),
    stop() {
      stopping ??= undoAll()
      return stopping
    },
  }
}

/** True if a data directory has a cluster, or a link to one. */
export function hasCluster(dataDir: string): boolean {
  try {
    return lstatSync(join(dataDir, 'postgres'), { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    throw explain(error, `The data directory ${dataDir} can't be entered`)
  }
}

/**
 * Returns the address of the server whose service holds the data directory's lock, or null if it
 * accepts no connections (yet, or any more). Call this only after DataDirInUse: otherwise the
 * server may be left over from a killed service.
 */
export function findRunningServer(dataDir: string): EmbeddedAddress | null {
  const socket = hasCluster(dataDir) ? readSocket(join(dataDir, 'postgres')) : null
  return socket && { host: socket.directory, port: socket.port, user: NAME, database: NAME }
}

// Only the owner (and root) can enter a new directory.
function makeDataDir(directory: string): string {
  mkdirSync(dirname(resolve(directory)), { recursive: true })
  if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 })
  accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  return realpathSync(directory)
}

function ownerOf(cluster: string) {
  const found = statSync(cluster, { throwIfNoEntry: false })
  if (!found) return null
  const { uid: parentUid } = statSync(dirname(realpathSync(cluster)))
  return { path: cluster, uid: found.uid, gid: found.gid, parentUid }
}
