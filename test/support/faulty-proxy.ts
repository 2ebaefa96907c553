import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { listenLocally } from './sockets.ts'

/** The purpose of a connection of the service, from its application_name; `all` matches any. */
export const POOLS = ['append', 'project', 'read', 'control', 'session', 'instance'] as const
export type Purpose = (typeof POOLS)[number] | 'all'

/**
 * What the network does to connections, of one purpose or of all, that are open when the fault
 * begins or are made during it:
 * - swallow: accepts what is sent and forwards nothing, in both directions or in one; after the
 *   fault the connections are open but dead, as after a firewall has dropped their state
 * - hold: stores what is sent and forwards it after the fault, as TCP does by retransmitting
 * - delay: forwards each chunk later
 * - cut, reset: ends connections in the middle of a message, with FIN or with RST
 * - half-open: the server's side is closed and the client never learns of it; new connections work
 * - unanswered: as half-open, but new connections are accepted and never answered
 * - refused: as half-open, but new connections are refused
 */
export const NETWORK_FAULTS = [
  ...(['swallow', 'swallow questions', 'swallow answers', 'hold', 'delay'] as const),
  ...(['cut', 'reset', 'half-open', 'unanswered', 'refused'] as const),
]
export type NetworkFault = (typeof NETWORK_FAULTS)[number]

export type FaultyProxy = {
  address: ServerAddress
  /** The number of connections that clients have requested. */
  readonly asked: number
  /** Begins a fault, which ends the previous one. */
  begin(fault: NetworkFault, purpose: Purpose): void
  /** Ends the fault; dead connections stay dead. */
  end(): void
  close(): Promise<void>
}

/** The range of delays of a chunk, in milliseconds, and the source of all random choices. */
export type FaultOptions = { delayMs: { shortest: number; longest: number }; random: () => number }

/** The probability that a chunk cuts its connection. */
const CUT_CHANCE = 0.1

/** A proxy for a PostgreSQL server, without TLS, that can fail in every way a network can. */
export async function startFaultyProxy(
  upstream: ServerAddress,
  options: FaultOptions,
): Promise<FaultyProxy> {
  const open = new Set<Connection>()
  let fault: NetworkFault | null = null
  let purpose: Purpose = 'all'
  const faultFor = (connection: Connection) =>
    purpose === 'all' || connection.purpose === purpose ? fault : null
  let asked = 0
  const listener = net.createServer((client) => {
    asked++
    const connection = new Connection(client, upstream, options, () => faultFor(connection))
    open.add(connection)
  })
  const port = await listenLocally(listener)
  return {
    address: through(upstream, port),
    get asked() {
      return asked
    },
    begin: (next, target) => {
      fault = next
      purpose = target
      for (const connection of open) if (faultFor(connection) !== null) connection.strike(next)
    },
    end: () => {
      fault = null
      for (const connection of open) connection.release()
    },
    close: async () => {
      fault = null
      for (const connection of open) connection.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/** The two ends of a connection, and what is sent to one: bytes, or the end of the other. */
type Side = 'client' | 'server'
type Piece = Buffer | 'end'

class Connection {
  /** Empty until the startup message has arrived. */
  purpose = ''
  #server: net.Socket | null = null
  /** The sides that nothing reaches any more, whatever the network does. */
  readonly #lost = new Set<Side>()
  readonly #held: { to: Side; piece: Piece }[] = []
  /** What is in transit to each side, in the order sent. */
  readonly #inTransit: Record<Side, { piece: Piece; due: number }[]> = { client: [], server: [] }

  constructor(
    private readonly client: net.Socket,
    private readonly upstream: ServerAddress,
    private readonly options: FaultOptions,
    private readonly fault: () => NetworkFault | null,
  ) {
    client.on('data', (chunk: Buffer) => {
      if (this.purpose === '') this.purpose = purposeOf(chunk)
      this.#pass('server', chunk)
    })
    client.on('error', () => {})
    client.on('close', () => this.#pass('server', 'end'))
  }

  /** Applies a fault that begins while the connection is open. */
  strike(fault: NetworkFault): void {
    if (!['half-open', 'unanswered', 'refused'].includes(fault)) return
    this.#lose('client', 'server')
    this.#server?.destroy()
  }

  /** Sends what was held. A connection that has lost something stays dead. */
  release(): void {
    if (this.#lost.size > 0) this.#lose('client', 'server')
    for (const { to, piece } of this.#held.splice(0)) this.#send(to, piece)
  }

  destroy(): void {
    this.#lose('client', 'server')
    this.client.destroy()
    this.#server?.destroy()
  }

  #pass(to: Side, piece: Piece): void {
    if (this.#lost.has(to)) return
    const fault = this.fault()
    switch (fault) {
      case null:
      // This is a new connection: those that were open are lost.
      case 'half-open':
        this.#send(to, piece)
        return
      case 'swallow':
      case 'unanswered':
        this.#lose('client', 'server')
        return
      case 'swallow questions':
      case 'swallow answers':
        // The end of the other side is swallowed too.
        if (piece === 'end' || (to === 'server') === (fault === 'swallow questions')) this.#lose(to)
        else this.#send(to, piece)
        return
      case 'hold':
        this.#held.push({ to, piece })
        return
      case 'delay': {
        const { shortest, longest } = this.options.delayMs
        this.#send(to, piece, shortest + this.options.random() * (longest - shortest))
        return
      }
      case 'cut':
      case 'reset':
        if (piece === 'end' || this.options.random() >= CUT_CHANCE) this.#send(to, piece)
        else this.#break(to, piece, fault)
        return
      case 'refused':
        this.client.resetAndDestroy()
        this.destroy()
    }
  }

  /** Sends half of a chunk, then ends both sides. */
  #break(to: Side, chunk: Buffer, how: 'cut' | 'reset'): void {
    this.#send(to, chunk.subarray(0, Math.ceil(chunk.byteLength / 2)))
    this.#lose('client', 'server')
    for (const side of [this.client, this.#server]) {
      if (how === 'cut') side?.end()
      // Lets what was written go out first.
      else setTimeout(() => side?.resetAndDestroy(), 5)
    }
  }

  #lose(...sides: Side[]): void {
    for (const side of sides) this.#lost.add(side)
  }

  #send(to: Side, piece: Piece, delayMs = 0): void {
    const coming = this.#inTransit[to]
    if (coming.length === 0 && delayMs === 0) {
      this.#deliver(to, piece)
      return
    }
    coming.push({ piece, due: performance.now() + delayMs })
    if (coming.length === 1) this.#deliverDue(to)
  }

  /** Uses one timer at a time, because two that are due together may fire in either order. */
  #deliverDue(to: Side): void {
    const coming = this.#inTransit[to]
    for (let next = coming[0]; next; next = coming[0]) {
      const ms = next.due - performance.now()
      if (ms > 0) {
        setTimeout(() => this.#deliverDue(to), ms)
        return
      }
      this.#deliver(to, next.piece)
      coming.shift()
    }
  }

  #deliver(to: Side, piece: Piece): void {
    const socket = to === 'client' ? this.client : this.#server
    if (piece === 'end') socket?.end()
    else if (socket === null) this.#connect().write(piece)
    else if (socket.writable) socket.write(piece)
  }

  /** Connects to the server when the first bytes for it arrive. */
  #connect(): net.Socket {
    const server = net.connect(socketOf(this.upstream))
    this.#server = server
    server.on('data', (chunk: Buffer) => this.#pass('client', chunk))
    server.on('error', () => {})
    server.on('close', () => this.#pass('client', 'end'))
    return server
  }
}

/** The size of an SSLRequest, which comes before the startup message. */
const SSL_REQUEST_BYTES = 8

/** Reads the purpose from a startup message: `append` from `tallybook append`. */
function purposeOf(message: Buffer): string {
  if (message.byteLength === SSL_REQUEST_BYTES) return ''
  const [, name = 'none'] = /application_name\0tallybook (\w+)\0/.exec(message.toString()) ?? []
  return name
}
