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
