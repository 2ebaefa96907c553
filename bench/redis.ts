import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RedisClient } from 'bun'

/** When Redis makes what it answered durable: before the answer, or within a second. */
export type Fsync = 'always' | 'everysec'

/** A running Redis server that listens on a socket. */
export type Redis = { url: string; pid: number; stop(): Promise<void> }

/** True if Redis is installed; its peers are left out otherwise. */
export const hasRedis = Bun.which('redis-server') !== null

/** Starts a Redis server with an append-only file, and waits until it answers. */
export async function startRedis(fsync: Fsync): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-redis-'))
  const socket = join(folder, 'socket')
  const settings = {
    ...{ port: '0', unixsocket: socket, dir: folder, save: '', loglevel: 'warning' },
    ...{ appendonly: 'yes', appendfsync: fsync },
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const server = Bun.spawn(['redis-server', ...args], { stdout: 'ignore', stderr: 'inherit' })
  const url = `redis+unix://${socket}`
  const stop = async () => {
    server.kill('SIGTERM')
    await server.exited
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await untilAnswers(url)
  } catch (error) {
    await stop()
    throw error
  }
  return { url, pid: server.pid, stop }
}

async function untilAnswers(url: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    const client = new RedisClient(url)
    try {
      await client.send('PING', [])
      return
    } catch (error) {
      if (tries === 100) throw error
      await Bun.sleep(50)
    } finally {
      client.close()
    }
  }
}
