import { chownSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import type { Subprocess } from 'bun'
import { type Account, spawnOptions } from './account.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedPostgresError } from './error.ts'
import { clearLeftover, configPath, isReady } from './leftover.ts'
import { giveTo } from './names.ts'
import type { ServerLog } from './serverlog.ts'
import { settingsFile } from './settings.ts'

/** The options of a server. The caller holds the data directory's lock. */
export type ServerOptions = {
  cluster: string
  socketDirectory: string
  binaries: Binaries
  account: Account
  serverLog: ServerLog
  log: (message: string) => void
}

const POLL_INTERVAL_MS = 10
// How often to log progress while the server recovers after a crash.
const NOTE_INTERVAL_MS = 5_000
// Processes of a killed server release its shared memory once they notice that it is gone.
const OLD_SERVER_PATIENCE_MS = 15_000
const OLD_SERVER = /pre-existing shared memory block|lock file ".*" already exists/

/** Starts the server. Resolves when it accepts connections; rejects with the server's own error. */
export async function startServer(options: ServerOptions): Promise<Subprocess> {
  const deadline = performance.now() + OLD_SERVER_PATIENCE_MS
  for (;;) {
    await clearLeftover(options.cluster, options.socketDirectory, options.log)
    takeOver(options)
    writeSettings(options)
    const server = spawnServer(options)
    try {
      if (await waitUntilReady(server, options)) return server
    } catch (error) {
      server.kill('SIGQUIT')
      throw error
    }
    const reason = options.serverLog.lastLines()
    if (!OLD_SERVER.test(reason) || performance.now() > deadline) {
      throw new EmbeddedPostgresError(`PostgreSQL did not start:\n${reason}`)
    }
    await Bun.sleep(100)
  }
}

/**
 * Makes the account the owner of the cluster's files. If the process is killed half-way, the next
 * start finishes the job: the directory itself changes owner last.
 */
function takeOver({ cluster, account: { switchTo }, log }: ServerOptions): void {
  if (switchTo === undefined || statSync(cluster).uid === switchTo.uid) return
  log(`changing the owner of ${cluster} to the unused user ID ${switchTo.uid}`)
  giveTo(cluster, switchTo)
}

function spawnServer({ cluster, binaries, account, serverLog }: ServerOptions): Subprocess {
  const command = [binaries.postgres, '-D', cluster, '-c', `config_file=${configPath(cluster)}`]
  return Bun.spawn(command, {
    ...spawnOptions(account),
    stdin: 'ignore',
    stdout: serverLog.descriptor,
    stderr: serverLog.descriptor,
  })
}

// Reads the server's pid file, as pg_ctl does: it is exact and needs no connection. There is no
// time limit: recovery of a long log takes its time, and a server that can't continue exits.
async function waitUntilReady(server: Subprocess, options: ServerOptions): Promise<boolean> {
  const begin = performance.now()
  let notes = 0
  while (server.exitCode === null && server.signalCode === null) {
    if (isReady(options.cluster, server.pid)) return true
    await Bun.sleep(POLL_INTERVAL_MS)
    if (performance.now() - begin > (notes + 1) * NOTE_INTERVAL_MS) {
      notes++
      options.log(
        `PostgreSQL is still starting: ${options.serverLog.lastLines().split('\n').at(-1)}`,
      )
    }
  }
  return false
}

// Writes a new file and renames it: the directory belongs to the account, and root must not follow
// a link in it.
function writeSettings({ cluster, socketDirectory, account }: ServerOptions): void {
  const path = configPath(cluster)
  const fresh = `${path}.new`
  rmSync(fresh, { force: true })
  const text = settingsFile({ memoryBytes: memoryBytes(), socketDirectory })
  writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' })
  if (account.switchTo) chownSync(fresh, account.switchTo.uid, account.switchTo.gid)
  renameSync(fresh, path)
}

// Respects the memory limit of a container.
function memoryBytes(): number {
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}
