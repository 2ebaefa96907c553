import type net from 'node:net'

/** Ties a proxy's two sockets: if one closes, the other does. `open` has those that are open. */
export function joinSockets(open: Set<net.Socket>, client: net.Socket, server: net.Socket): void {
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    open.add(socket)
    socket.on('error', () => other.destroy())
    socket.on('close', () => {
      open.delete(socket)
      other.destroy()
    })
  }
}

/** Listens on a port of 127.0.0.1, by default a free one, and returns the port. */
export async function listenLocally(server: net.Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as net.AddressInfo).port
}
