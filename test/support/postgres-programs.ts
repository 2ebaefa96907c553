import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

/** Where Debian's and PostgreSQL's own packages install a version, the newest first. */
const FOLDERS = [18, 17, 16, 15].flatMap((version) => [
  `/usr/lib/postgresql/${version}/bin`,
  `/usr/pgsql-${version}/bin`,
])

/** The folder of an installation with a server and pg_basebackup; null if there is none. */
export const PROGRAMS = (() => {
  const folder = FOLDERS.find((path) =>
    ['initdb', 'pg_ctl', 'pg_basebackup', 'pg_verifybackup'].every((name) =>
      existsSync(join(path, name)),
    ),
  )
  return folder ?? null
})()

const isRoot = process.getuid?.() === 0

/** True if the server can run as a user who is not root. */
export const hasServerUser = !isRoot || Bun.spawnSync(['id', 'postgres']).success

/** Makes a folder in which an installed server may write. */
export async function makeServerFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'tallybook-drill-'))
  await chmod(path, 0o711)
  if (isRoot) await Bun.$`chown postgres ${path}`
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/**
 * Runs an installed program as the server's user and returns what it prints. Throws with its errors
 * unless it exits with 0.
 */
export async function runProgram(program: string, ...args: string[]): Promise<string> {
  const path = program.includes('/') ? program : join(PROGRAMS!, program)
  const command = [...(isRoot ? ['runuser', '-u', 'postgres', '--'] : []), path, ...args]
  const child = Bun.spawn(command, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const [code, output, errors] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ])
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${errors}${output}`)
  return output
}

/** An installed server on a cluster, on a free port of this machine. */
export class InstalledServer {
  #port = 0

  constructor(readonly cluster: string) {}

  get url(): string {
    return `postgres://tallybook@127.0.0.1:${this.#port}/postgres`
  }

  get port(): string {
    return String(this.#port)
  }

  create(): Promise<string> {
    const options = ['-U', 'tallybook', '-E', 'UTF8', '--locale=C', '-A', 'trust']
    return runProgram('initdb', '-D', this.cluster, ...options)
  }

  async start(): Promise<void> {
    this.#port = await freePort()
    const settings = [
      ...['listen_addresses=127.0.0.1', `port=${this.#port}`, `unix_socket_directories=''`],
      'max_connections=200',
    ]
    const options = settings.map((setting) => `-c ${setting}`).join(' ')
    const log = `${this.cluster}.log`
    // Its own output would keep the pipe of pg_ctl open.
    await runProgram('pg_ctl', 'start', '-D', this.cluster, '-w', '-s', '-l', log, '-o', options)
  }

  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await runProgram('pg_ctl', 'stop', '-D', this.cluster, '-m', mode, '-s').catch(() => '')
  }
}
