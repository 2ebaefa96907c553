import net from 'node:net'
import type { ServerAddress } from '../../../src/platform/postgres/pool.ts'
import { socketOf, through } from '../../support/proxy.ts'
import { joinSockets, listenLocally } from '../../support/sockets.ts'

export type FreezableProxy = {
  address: ServerAddress
  /** Nothing comes through any more, and nobody is told. */
  freeze(): void
  thaw(): void
  close(): Promise<void>
}

/** A way to a PostgreSQL server that can go silent, as a network that drops packets does. */
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
      // What is sent while it is frozen is lost, and with it the connection's use.
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
