import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { targetAt } from '../../src/platform/postgres/connection/target.ts'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

export const hasPgBouncer = Bun.which('pgbouncer') !== null

export type PgBouncer = {
  /** The URL, through PgBouncer, of a database of the server. */
  addressOf(database: string): { url: string }
  /** Kills PgBouncer, and with it all its connections, and starts it again. */
  restart(): Promise<void>
  end(): Promise<void>
}

/** Starts a PgBouncer in front of a server, with these settings. */
export async function startPgBouncer(
  upstream: ServerAddress,
  settings: Record<string, string | number>,
): Promise<PgBouncer> {
  const root = mkdtempSync(join(tmpdir(), 'tb-pooler-'))
  const { endpoints, user, password } = targetAt(upstream)
  const endpoint = endpoints[0]!
  // PgBouncer refuses to run as root; the server's user may enter the directory of the socket.
  const directory = 'directory' in endpoint ? endpoint.directory : null
  const owner = process.getuid?.() === 0 ? ownerOf(directory) : null
  if (owner !== null) chownSync(root, owner.uid, owner.gid)
  const port = await freePort()
  const file = join(root, 'pgbouncer.ini')
  const all = {
    ...{ listen_addr: '127.0.0.1', listen_port: port, unix_socket_dir: '' },
    ...{ auth_type: 'any', max_client_conn: 500, default_pool_size: 60, ...settings },
  }
  const host = directory ?? ('address' in endpoint ? endpoint.address : '')
  const where = `host=${host} port=${endpoint.port}`
  const as = `user=${user}${password === '' ? '' : ` password=${password}`}`
  writeFileSync(
    file,
    [
      ...['[databases]', `* = ${where} ${as}`, '[pgbouncer]'],
      ...Object.entries(all).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n'),
  )
  const run = async () => {
    const child = Bun.spawn(['pgbouncer', '-q', file], {
      ...(owner ?? {}),
      cwd: root,
      stdio: ['ignore', 'ignore', 'ignore'],
    })
    await until(() => isListening(port))
    return child
  }
  let child = await run()
  const stop = async () => {
    child.kill('SIGKILL')
    await child.exited
  }
  return {
    addressOf: (database) => ({ url: `postgres://${user}@127.0.0.1:${port}/${database}` }),
    restart: async () => {
      await stop()
      child = await run()
    },
    end: async () => {
      await stop()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

function ownerOf(directory: string | null): { uid: number; gid: number } {
  const { uid, gid } = directory === null ? { uid: 65534, gid: 65534 } : statSync(directory)
  return { uid, gid }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
