import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { joinSockets, listenLocally } from './sockets.ts'

/** An address that stays while the server behind it changes, as a failover manager keeps one. */
export type SwitchableProxy = {
  address: ServerAddress
  /** Cuts all connections; new ones go to this server, or are refused (null). */
  lead(to: ServerAddress | null): void
  close(): Promise<void>
}

/** Begins with a way to `first`. */
export async function startSwitch(first: ServerAddress): Promise<SwitchableProxy> {
  const sockets = new Set<net.Socket>()
  let upstream: ServerAddress | null = first
  const proxy = net.createServer((client) => {
    if (upstream === null) {
      client.destroy()
      return
    }
    const server = net.connect(socketOf(upstream))
    joinSockets(sockets, client, server)
    client.pipe(server).pipe(client)
  })
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const port = await listenLocally(proxy)
  return {
    address: through(first, port),
    lead: (to) => {
      upstream = to
      cut()
    },
    close: async () => {
      cut()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
