import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What happens to a request. Faults that end in `after commit` forward it first, and replace the
 * answer of the service once that has committed.
 */
export type Fault =
  | 'none'
  | 'drop'
  | 'drop after commit'
  | 'cut after commit'
  | 'hang'
  | 'hang after commit'
  | 'malformed'
  | 'malformed after commit'
  | `status ${number}`
  | `status ${number} after commit`

export type Arrived = {
  fault: Fault
  key: string | null
  sequence: string | null
  /** The status with which the service answered; null if it was not asked. */
  status: number | null
}

/** Stands between a client and the real service, and fails as it is told. */
export class FaultServer {
  /** Faults of the next requests, in their order. */
  readonly next: Fault[] = []
  /** The fault of requests when `next` is empty. */
  always: Fault = 'none'
  /** A flush with more entries is too large: it is answered 413, whatever the fault. */
  maxEntries = Number.POSITIVE_INFINITY
  /** Requests, in the order of their arrival. */
  readonly arrived: Arrived[] = []
  /** The address of the service. */
  upstream: string
  readonly #server = createServer((incoming, outgoing) => {
    this.#serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
  #changed: (() => void)[] = []

  constructor(upstream: string) {
    this.upstream = upstream
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Waits until a request fulfils a condition, with its answer if the service was asked. */
  async until(condition: (arrived: Arrived) => boolean): Promise<void> {
    while (!this.arrived.some(condition))
      await new Promise<void>((resolve) => this.#changed.push(resolve))
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const isTooLarge = countEntries(body) > this.maxEntries
    const fault = isTooLarge ? 'status 413' : (this.next.shift() ?? this.always)
    const arrived: Arrived = {
      fault,
      key: headerOf(incoming, 'idempotency-key'),
      sequence: headerOf(incoming, 'tallybook-sequence'),
      status: null,
    }
    this.arrived.push(arrived)
    const answer =
      fault === 'none' || fault.endsWith(' after commit')
        ? await this.#forward(incoming, body)
        : null
    arrived.status = answer?.status ?? null
    fail(fault.replace(/ after commit$/, ''), outgoing, answer)
    for (const resolve of this.#changed.splice(0)) resolve()
  }

  async #forward(incoming: IncomingMessage, body: Buffer): Promise<Forwarded> {
    const headers = { ...incoming.headers }
    for (const name of ['host', 'connection', 'transfer-encoding', 'content-length'])
      delete headers[name]
    return new Promise((resolve, reject) => {
      const url = `${this.upstream}${incoming.url}`
      const outer = request(url, { method: incoming.method, headers, agent: false }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            status: answer.statusCode!,
            type: answer.headers['content-type'] ?? '',
            body: Buffer.concat(chunks),
          }),
        )
      })
      outer.on('error', reject)
      outer.end(body)
    })
  }
}

type Forwarded = { status: number; type: string; body: Buffer }

function fail(fault: string, outgoing: ServerResponse, answer: Forwarded | null): void {
  const status = /^status (\d+)$/.exec(fault)?.[1]
  if (status !== undefined) {
    outgoing.writeHead(Number(status), { 'content-type': 'application/problem+json' })
    outgoing.end(JSON.stringify({ status: Number(status), error: 'injected' }))
  } else if (fault === 'none') {
    outgoing.writeHead(answer!.status, { 'content-type': answer!.type })
    outgoing.end(answer!.body)
  } else if (fault === 'malformed') {
    outgoing.writeHead(200, { 'content-type': 'text/html' })
    outgoing.end('<html>Sign in to use this network</html>')
  } else if (fault === 'cut') {
    outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    outgoing.write(answer!.body.subarray(0, 5))
    setTimeout(() => outgoing.destroy(), 5)
  } else if (fault === 'drop') {
    // Not the answer: Bun would write the beginning of one.
    outgoing.socket!.destroy()
  }
  // The rest hangs until the client gives up.
}

function headerOf(incoming: IncomingMessage, name: string): string | null {
  const value = incoming.headers[name]
  return typeof value === 'string' ? value : null
}

const countEntries = (body: Buffer) =>
  body.length > 0 ? (JSON.parse(body.toString()) as { keys: unknown[] }).keys.length : 0
