import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { joinSockets, listenLocally } from './sockets.ts'

/** A proxy for a PostgreSQL server that holds back clients at a chosen message. */
export type Barrier = {
  /** The address to use instead of the server's. */
  address: ServerAddress
  /** Resolves when a client has sent the message. None gets an answer to it before `release`. */
  reached: Promise<void>
  /** Forwards what is held back and everything after it. */
  release(): void
  close(): Promise<void>
}

/**
 * Forwards everything except the first message of a client that contains `text`, such as part of a
 * statement, and what it sends after that. The server's messages are always forwarded.
 */
export async function startBarrier(upstream: ServerAddress, text: string): Promise<Barrier> {
  const sockets = new Set<net.Socket>()
  const reached = Promise.withResolvers<void>()
  let passAll = false
  const held: { server: net.Socket; parts: Buffer[] }[] = []

  const proxy = net.createServer((client) => {
    const server = net.connect(socketOf(upstream))
    const parts: Buffer[] = []
    joinSockets(sockets, client, server)
    client.on('data', (chunk: Buffer) => {
      if (passAll) {
        server.write(chunk)
      } else if (parts.length > 0) {
        parts.push(chunk)
      } else if (chunk.includes(text)) {
        parts.push(chunk)
        held.push({ server, parts })
        reached.resolve()
      } else {
        server.write(chunk)
      }
    })
    server.on('data', (chunk: Buffer) => client.write(chunk))
  })
  const port = await listenLocally(proxy)

  return {
    address: through(upstream, port),
    reached: reached.promise,
    release: () => {
      passAll = true
      for (const { server, parts } of held) for (const part of parts) server.write(part)
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

/** A statement's parameter as sent over the wire: its length, then its text. */
export const parameter = (value: number | string) =>
  `\0\0\0${String.fromCharCode(String(value).length)}${value}`
