import { existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run } from './account.ts'
import { EmbeddedPostgresError } from './error.ts'
import { isAlive } from './lock.ts'
import { stopProcess } from './stop.ts'

/** Returns the path of the configuration file that only our own servers are started with. */
export function configPath(cluster: string): string {
  return join(cluster, 'tallybook.conf')
}

/**
 * Cleans up after a killed service: stops its server if it is still running, and makes the server's
 * pid file and socket harmless. The caller holds the data directory's lock, so no live service owns
 * that server. Throws EmbeddedPostgresError if someone else started a server there.
 */
export async function clearLeftover(
  cluster: string,
  socketDirectory: string,
  log: (message: string) => void,
): Promise<void> {
  const pid = readPid(cluster)
  if (pid !== null && isAlive(pid)) {
    switch (await whoseProcess(pid, cluster)) {
      case 'ours':
        log(`stopping PostgreSQL (pid ${pid}), which a killed service left running`)
        await stopProcess({
          signal: (name) => kill(pid, name),
          // If another process has reused the pid, the server is gone.
          isGone: async () => (await whoseProcess(pid, cluster)) !== 'ours',
          fastMs: 30_000,
        })
        break
      case 'foreign':
        throw new EmbeddedPostgresError(
          `A PostgreSQL server that Tallybook did not start (pid ${pid}) is running on ` +
            `${cluster}: stop it first.`,
        )
      case 'unrelated':
        disown(cluster)
        break
    }
  }
  for (const name of ['.s.PGSQL.5432', '.s.PGSQL.5432.lock']) {
    rmSync(join(socketDirectory, name), { force: true })
  }
}

/** Determines from a process's arguments and working directory whose server it is. Pure. */
export function whoseServer(
  args: string[],
  cwd: string | null,
  cluster: string,
): 'ours' | 'foreign' | 'unrelated' {
  // /…/bin/postgres -D /…/.tallybook/postgres -c config_file=/…/.tallybook/postgres/tallybook.conf
  if (basename(args[0] ?? '') !== 'postgres') return 'unrelated'
  if (args.includes(`config_file=${configPath(cluster)}`)) return 'ours'
  return cwd === cluster || args.includes(cluster) ? 'foreign' : 'unrelated'
}

async function whoseProcess(pid: number, cluster: string) {
  return whoseServer(await readArgs(pid), readCwd(pid), cluster)
}

// Reads /proc on Linux, and ps on macOS. A zombie has no arguments, so it counts as unrelated.
async function readArgs(pid: number): Promise<string[]> {
  if (!existsSync('/proc/self/cmdline')) {
    const ps = ['ps', '-ww', '-o', 'args=', '-p', String(pid)]
    const { stdout } = await run({ name: 'self' }, ps)
    // One line, in which a path may contain spaces: split only around -D and -c.
    return stdout.trim().split(/ (?=-[Dc] )|(?<= -[Dc]) /)
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function readCwd(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null
  }
}

function readPid(cluster: string): number | null {
  const first = readPidFile(cluster)[0] ?? ''
  return /^\d+$/.test(first) ? Number(first) : null
}

// postmaster.pid: pid, cluster, start time, port, socket directory, address, shared memory, status.
function readPidFile(cluster: string): string[] {
  try {
    return readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')
  } catch (error) {
    // There is no file, or a server that is exiting has just removed it.
    if ((error as { code?: string }).code === 'ENOENT') return []
    throw error
  }
}

/** True if the server with this pid has reported in its pid file that it accepts connections. */
export function isReady(cluster: string, pid: number): boolean {
  const lines = readPidFile(cluster)
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
}

/** Returns the socket from the pid file of a cluster's server, or null if it isn't ready. */
export function readSocket(cluster: string): { directory: string; port: number } | null {
  const lines = readPidFile(cluster)
  if (lines[7]?.trim() !== 'ready') return null
  return { directory: lines[4]!, port: Number(lines[3]) }
}

// PostgreSQL refuses to start while the pid in its file is alive, whatever process that is. If the
// file has its parent's pid, PostgreSQL treats it as stale, but still checks from the other lines
// that no process of the old server holds the shared memory. Removing the file would prevent that.
function disown(cluster: string): void {
  const [, ...rest] = readPidFile(cluster)
  writeFileSync(join(cluster, 'postmaster.pid'), [String(process.pid), ...rest].join('\n'))
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as { code?: string }).code === 'ESRCH') return
    throw new EmbeddedPostgresError(
      `PostgreSQL (pid ${pid}), which a killed ${basename(process.argv0)} left running, ` +
        'belongs to another user: stop it, or start Tallybook as that user or as root.',
    )
  }
}
