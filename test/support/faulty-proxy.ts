import net from 'node:net'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { socketOf, through } from './proxy.ts'
import { listenLocally } from './sockets.ts'

/** What a connection of the service is for, as its application_name says; all: whatever it is. */
export const POOLS = ['append', 'project', 'read', 'control', 'session', 'instance'] as const
export type Purpose = (typeof POOLS)[number] | 'all'

/**
 * What the network does to the connections that are open and to those that are made meanwhile, of
 * one purpose or of all:
 * - swallow: takes all that is sent and passes nothing on, in both directions, or in one; the
 *   connections stay open and dead when it is over, as where a firewall has forgotten them
 * - hold: keeps all that is sent, and passes it on when it is over, as TCP that sends again
 * - delay: passes on each chunk, but later
 * - cut, reset: ends connections amid a message, by FIN or by RST
 * - half-open: the server's side is closed, and the client never learns; new ones serve,
 *   - unanswered: or are accepted and never answered,
 *   - refused: or are refused.
 */
export const NETWORK_FAULTS = [
  ...(['swallow', 'swallow questions', 'swallow answers', 'hold', 'delay'] as const),
  ...(['cut', 'reset', 'half-open', 'unanswered', 'refused'] as const),
]
export type NetworkFault = (typeof NETWORK_FAULTS)[number]

export type FaultyProxy = {
  address: ServerAddress
  /** Connections that were asked for. */
  readonly asked: number
  /** From now on the network does this; what it did before is over. */
  begin(fault: NetworkFault, purpose: Purpose): void
  /** It is whole again; connections that are dead stay so. */
  end(): void
  close(): Promise<void>
}

/** Of chunks that are delayed, milliseconds; and how many of ten chunks cut their connection. */
export type FaultOptions = { delayMs: { shortest: number; longest: number }; random: () => number }

const CUT_CHANCE = 0.1

/** A way to a PostgreSQL server, without TLS, that can fail in every way of a network. */
export async function startFaultyProxy(
  upstream: ServerAddress,
  options: FaultOptions,
): Promise<FaultyProxy> {
  const open = new Set<Connection>()
  let fault: NetworkFault | null = null
  let purpose: Purpose = 'all'
  const concerns = (connection: Connection) =>
    purpose === 'all' || connection.purpose === purpose ? fault : null
  let asked = 0
  const listener = net.createServer((client) => {
    asked++
    const connection = new Connection(client, upstream, options, () => concerns(connection))
    open.add(connection)
  })
  const port = await listenLocally(listener)
  return {
    address: through(upstream, port),
    get asked() {
      return asked
    },
    begin: (next, of) => {
      fault = next
      purpose = of
      for (const connection of open) if (concerns(connection) !== null) connection.strike(next)
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

/** The two ends of a connection; and what goes to one: bytes, or that the other has ended. */
type Side = 'client' | 'server'
type Piece = Buffer | 'end'

class Connection {
  /** Empty until the client has said it. */
  purpose = ''
  #server: net.Socket | null = null
  /** Where nothing arrives any more, whatever the network does. */
  readonly #lost = new Set<Side>()
  readonly #held: { to: Side; piece: Piece }[] = []
  /** What is on its way to each side, in the order in which it was sent. */
  readonly #coming: Record<Side, { piece: Piece; due: number }[]> = { client: [], server: [] }

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

  /** What becomes of a connection that is open when a fault begins. */
  strike(fault: NetworkFault): void {
    if (!['half-open', 'unanswered', 'refused'].includes(fault)) return
    this.#lose('client', 'server')
    this.#server?.destroy()
  }

  /** Sends what was held. What has lost something is dead. */
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
      // Those that were open are lost: this is a new one.
      case 'half-open':
        this.#send(to, piece)
        return
      case 'swallow':
      case 'unanswered':
        this.#lose('client', 'server')
        return
      case 'swallow questions':
      case 'swallow answers':
        // Nor does a side learn that the other has gone.
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

  /** Half of a message, then the end of both sides. */
  #break(to: Side, chunk: Buffer, how: 'cut' | 'reset'): void {
    this.#send(to, chunk.subarray(0, Math.ceil(chunk.byteLength / 2)))
    this.#lose('client', 'server')
    for (const side of [this.client, this.#server]) {
      if (how === 'cut') side?.end()
      // What was written goes out first.
      else setTimeout(() => side?.resetAndDestroy(), 5)
    }
  }

  #lose(...sides: Side[]): void {
    for (const side of sides) this.#lost.add(side)
  }

  #send(to: Side, piece: Piece, delayMs = 0): void {
    const coming = this.#coming[to]
    if (coming.length === 0 && delayMs === 0) {
      this.#deliver(to, piece)
      return
    }
    coming.push({ piece, due: performance.now() + delayMs })
    if (coming.length === 1) this.#deliverDue(to)
  }

  /** One timer at a time: of two that are due at the same moment the later may come first. */
  #deliverDue(to: Side): void {
    const coming = this.#coming[to]
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

  /** Only when something arrives there. */
  #connect(): net.Socket {
    const server = net.connect(socketOf(this.upstream))
    this.#server = server
    server.on('data', (chunk: Buffer) => this.#pass('client', chunk))
    server.on('error', () => {})
    server.on('close', () => this.#pass('client', 'end'))
    return server
  }
}

/** Bytes of the question whether the server speaks TLS, which comes before the startup message. */
const TLS_QUESTION_BYTES = 8

/** Of a startup message: `tallybook append` is for appends. */
function purposeOf(message: Buffer): string {
  if (message.byteLength === TLS_QUESTION_BYTES) return ''
  const [, name = 'none'] = /application_name\0tallybook (\w+)\0/.exec(message.toString()) ?? []
  return name
}
