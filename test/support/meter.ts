import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { joinSockets, listenLocally } from './sockets.ts'

export type MeteredProxy = {
  address: ServerAddress
  /** The number of bytes that the server has sent. */
  readonly bytes: number
  /** Stops forwarding on the connections that are open, which stay open; new ones work. */
  swallow(): void
  /** Cuts all connections, and refuses new ones until `restore`. */
  lose(): Promise<void>
  restore(): Promise<void>
  close(): Promise<void>
}

/** A proxy for a PostgreSQL server that counts bytes and can become unreachable. */
export async function startMeter(upstream: ServerAddress): Promise<MeteredProxy> {
  const sockets = new Set<net.Socket>()
  let bytes = 0
  let swallowed = new WeakSet<net.Socket>()
  const proxy = net.createServer((client) => {
    const server = net.connect(socketOf(upstream))
    joinSockets(sockets, client, server)
    client.on('data', (chunk: Buffer) => {
      if (!swallowed.has(client)) server.write(chunk)
    })
    server.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength
      if (!swallowed.has(server)) client.write(chunk)
    })
  })
  const close = () => {
    const closed = new Promise<unknown>((resolve) => proxy.close(resolve))
    for (const socket of sockets) socket.destroy()
    return closed
  }
  const port = await listenLocally(proxy)
  return {
    address: through(upstream, port),
    get bytes() {
      return bytes
    },
    swallow: () => {
      swallowed = new WeakSet(sockets)
    },
    lose: async () => {
      await close()
    },
    restore: async () => {
      await listenLocally(proxy, port)
    },
    close: async () => {
      await close()
    },
  }
}
