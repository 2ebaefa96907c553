import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { joinSockets, listenLocally } from './sockets.ts'

/** A fixed address whose server can change, such as a failover manager provides. */
export type SwitchableProxy = {
  address: ServerAddress
  /** Cuts all connections. New ones go to this server, or are refused if null. */
  lead(to: ServerAddress | null): void
  close(): Promise<void>
}

/** Starts with `first` as the server. */
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
