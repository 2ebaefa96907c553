import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { joinSockets, listenLocally } from './sockets.ts'

/** A way to a PostgreSQL server on which a client comes to a stand at a chosen message. */
export type Barrier = {
  /** Where to connect instead of to the server. */
  address: ServerAddress
  /** Resolves when a client has sent the message: it waits for the answer until `release`. */
  reached: Promise<void>
  /** Passes on what is held, and all that follows. */
  release(): void
  close(): Promise<void>
}

/**
 * Passes everything on but the first message of a client that has `text` in it, such as a part of a
 * statement, and what this client sends after it. The server's messages pass all the time.
 */
export async function startBarrier(upstream: ServerAddress, text: string): Promise<Barrier> {
  const sockets = new Set<net.Socket>()
  const reached = Promise.withResolvers<void>()
  let passAll = false
  let flush = () => {}

  const proxy = net.createServer((client) => {
    const server = net.connect(socketOf(upstream))
    const held: Buffer[] = []
    joinSockets(sockets, client, server)
    client.on('data', (chunk: Buffer) => {
      if (passAll) {
        server.write(chunk)
      } else if (held.length > 0) {
        held.push(chunk)
      } else if (chunk.includes(text)) {
        held.push(chunk)
        flush = () => {
          for (const part of held.splice(0)) server.write(part)
        }
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
      flush()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

/** A parameter of a statement as it goes over the wire: its length, and it as text. */
export const parameter = (value: number | string) =>
  `\0\0\0${String.fromCharCode(String(value).length)}${value}`
