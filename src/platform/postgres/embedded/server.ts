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

/** What a server is started on; the caller holds the data directory's lock. */
export type ServerOptions = {
  cluster: string
  socketDirectory: string
  binaries: Binaries
  account: Account
  serverLog: ServerLog
  log: (message: string) => void
}

const POLL_INTERVAL_MS = 10
// While the server reads the log again after a crash, say so this often.
const NOTE_INTERVAL_MS = 5_000
// Processes of a killed server let go of its shared memory when they notice its death.
const OLD_SERVER_PATIENCE_MS = 15_000
const OLD_SERVER = /pre-existing shared memory block|lock file ".*" already exists/

/** Starts the server and returns when it takes connections; fails with the server's own reason. */
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

/** Gives a cluster to its account if it was another's. Killed half-way: the next start goes on. */
function takeOver({ cluster, account: { switchTo }, log }: ServerOptions): void {
  if (switchTo === undefined || statSync(cluster).uid === switchTo.uid) return
  log(`giving ${cluster} to user ${switchTo.uid}, whom nobody else is`)
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

// Read from the server's pid file, as pg_ctl does: exact, and costs no connection. There is no
// time limit: recovery of a long log takes its time, and a server that can't go on ends.
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

// Written beside and renamed: the directory belongs to the account, and root must not follow a
// link that stands in it.
function writeSettings({ cluster, socketDirectory, account }: ServerOptions): void {
  const path = configPath(cluster)
  const fresh = `${path}.new`
  rmSync(fresh, { force: true })
  const text = settingsFile({ memoryBytes: memoryBytes(), socketDirectory })
  writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' })
  if (account.switchTo) chownSync(fresh, account.switchTo.uid, account.switchTo.gid)
  renameSync(fresh, path)
}

// A container's limit counts where there is one.
function memoryBytes(): number {
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}
