import type { Socket } from 'bun'

type Target = { unix: string } | { hostname: string; port: number }

/** Relays bytes between clients and a server, and counts them in both directions. */
export type Relay = {
  port: number
  /** Bytes to the server and back to clients since the last call. */
  take(): { to: number; from: number }
  stop(): void
}

type End = { peer: Socket<End> | null; pending: Uint8Array[]; isClient: boolean }

/**
 * Starts a relay that listens at `listen`. Bytes that one side cannot take yet wait in memory, so it
 * is for counting a few thousand requests, not for load.
 */
export function startRelay(listen: Target, target: Target): Relay {
  let to = 0
  let from = 0
  const pass = (socket: Socket<End>) => {
    const { pending } = socket.data
    while (pending.length > 0) {
      const chunk = pending[0]!
      const written = socket.write(chunk)
      if (written < chunk.length) {
        pending[0] = chunk.subarray(Math.max(written, 0))
        return
      }
      pending.shift()
    }
  }
  const handlers = {
    data: (socket: Socket<End>, bytes: Uint8Array) => {
      if (socket.data.isClient) to += bytes.length
      else from += bytes.length
      const { peer } = socket.data
      const copy = bytes.slice()
      if (peer === null) {
        waiting.set(socket, [...(waiting.get(socket) ?? []), copy])
        return
      }
      peer.data.pending.push(copy)
      pass(peer)
    },
    drain: pass,
    close: (socket: Socket<End>) => {
      socket.data.peer?.end()
    },
  }
  /** Bytes from clients whose connection to the server is not open yet. */
  const waiting = new Map<Socket<End>, Uint8Array[]>()
  const server = Bun.listen<End>({
    ...(listen as { hostname: string; port: number }),
    socket: {
      ...handlers,
      open: async (client) => {
        client.data = { peer: null, pending: [], isClient: true }
        const upstream = await Bun.connect<End>({
          ...(target as { hostname: string; port: number }),
          data: { peer: client, pending: [], isClient: false },
          socket: handlers,
        })
        upstream.data.pending.push(...(waiting.get(client) ?? []))
        waiting.delete(client)
        client.data.peer = upstream
        pass(upstream)
      },
    },
  })
  return {
    port: 'unix' in listen ? 0 : server.port,
    take: () => {
      const taken = { to, from }
      to = 0
      from = 0
      return taken
    },
    stop: () => server.stop(true),
  }
}
