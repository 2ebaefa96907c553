import type net from 'node:net'

/** Both ends of a way: where one ends the other does. `open` has them for as long as they are. */
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

/** Listens on a port of 127.0.0.1, a free one if none is named; returns which. */
export async function listenLocally(server: net.Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as net.AddressInfo).port
}
