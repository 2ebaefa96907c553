import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { joinSockets, listenLocally } from './sockets.ts'

/** Where to cut a connection: before the statement arrives, or before its commit is answered. */
export type Cut = 'before' | 'after commit'

export type LossyProxy = {
  address: ServerAddress
  /**
   * Cuts the connection on which `statement` runs next, once, and resolves when that is done. The
   * first `skip` of its messages (the client's, or the server's answers) are forwarded.
   */
  cut(where: Cut, statement: string, skip?: number): Promise<void>
  close(): Promise<void>
}

type Armed = { where: Cut; statement: string; skip: number; done: () => void }

/** Message types of PostgreSQL's protocol, and the server's answer to an SSLRequest: no TLS. */
const COMMAND_COMPLETE = 0x43
const READY_FOR_QUERY = 0x5a
const NO_TLS = 0x4e

/** A proxy for a PostgreSQL server that can cut a connection at a chosen moment. */
export async function startProxy(upstream: ServerAddress): Promise<LossyProxy> {
  const sockets = new Set<net.Socket>()
  let armed: Armed | null = null

  const fire = (client: net.Socket, server: net.Socket) => {
    client.destroy()
    server.destroy()
    armed?.done()
    armed = null
  }

  const proxy = net.createServer((client) => {
    const server = net.connect(socketOf(upstream))
    let sent = ''
    let received: Buffer = Buffer.alloc(0)
    let completed = false
    let isGreeted = false
    const runsArmed = () => armed !== null && sent.includes(armed.statement)
    joinSockets(sockets, client, server)
    client.on('data', (chunk: Buffer) => {
      // A prepared statement's text is sent once, so all texts of the connection are stored.
      sent += chunk.subarray(0, 4_096).toString('latin1')
      if (armed?.where === 'before' && runsArmed() && armed.skip-- === 0) fire(client, server)
      else server.write(chunk)
    })
    server.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      // The server refuses TLS by a single letter, before any message.
      if (!isGreeted && received[0] === NO_TLS && received.length === 1) {
        client.write(received)
        received = Buffer.alloc(0)
      }
      isGreeted = true
      // Type, length without the type, contents.
      while (received.length >= 5 && received.length > received.readUInt32BE(1)) {
        const message = received.subarray(0, received.readUInt32BE(1) + 1)
        received = received.subarray(message.length)
        const losing = armed?.where === 'after commit' && runsArmed()
        if (losing && message[0] === COMMAND_COMPLETE && armed!.skip-- === 0) completed = true
        // The transaction is committed only when the server is ready for the next query.
        if (completed && message[0] === READY_FOR_QUERY) return fire(client, server)
        if (!completed) client.write(message)
      }
    })
  })
  const port = await listenLocally(proxy)

  return {
    address: through(upstream, port),
    cut: (where, statement, skip = 0) =>
      new Promise((done) => {
        armed = { where, statement, skip, done }
      }),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

/** The socket that an address names. */
export function socketOf(address: ServerAddress): net.NetConnectOpts {
  if ('host' in address) return { path: `${address.host}/.s.PGSQL.${address.port}` }
  const { hostname, port } = new URL(address.url)
  return { host: hostname, port: Number(port || 5432) }
}

/** The same database at a port of 127.0.0.1, without TLS: the proxies read what passes. */
export function through(address: ServerAddress, port: number): ServerAddress {
  if ('host' in address) return { ...address, host: '127.0.0.1', port }
  const url = new URL(address.url)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  url.searchParams.set('sslmode', 'disable')
  return { url: url.href }
}
