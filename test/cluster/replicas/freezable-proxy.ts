import net from 'node:net'
import type { ServerAddress } from '../../../src/platform/postgres/pool.ts'
import { socketOf, through } from '../../support/proxy.ts'
import { joinSockets, listenLocally } from '../../support/sockets.ts'

/** A proxy in front of a PostgreSQL server that can drop everything it receives. */
export type FreezableProxy = {
  address: ServerAddress
  /** Drops everything from now on, without closing connections. */
  freeze(): void
  thaw(): void
  close(): Promise<void>
}

/** Starts a proxy that can go silent, like a network that drops packets. */
export async function startFreezable(upstream: ServerAddress): Promise<FreezableProxy> {
  const sockets = new Set<net.Socket>()
  let isFrozen = false
  const proxy = net.createServer((client) => {
    const server = net.connect(socketOf(upstream))
    joinSockets(sockets, client, server)
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      // Data sent while it is frozen is lost, which makes the connection useless.
      socket.on('data', (chunk) => {
        if (!isFrozen) other.write(chunk)
      })
    }
  })
  const port = await listenLocally(proxy)
  return {
    address: through(upstream, port),
    freeze: () => {
      isFrozen = true
    },
    thaw: () => {
      isFrozen = false
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
