import type { Socket } from 'bun'

/** End of a chunked body. */
const LAST_CHUNK = '0\r\n\r\n'

/** End of a response head. As the value of `#head` it means that the head is complete. */
const HEAD_END = '\r\n\r\n'

/** Status of an answer; 0 if the connection was closed before the answer was complete. */
export type Status = number

/**
 * A connection that sends one request after the other. It parses as little of the answers as it
 * can, to leave the processor to the service.
 */
export class Connection {
  #socket: Socket | null = null
  #head = ''
  #status: Status = 0
  /** Bytes of the body that are missing; null if it ends with LAST_CHUNK. */
  #left: number | null = 0
  #tail = ''
  #settle: (status: Status) => void = () => {}
  #unsent: Uint8Array | null = null
  /** Bytes received. */
  bytes = 0

  constructor(private readonly url: URL) {}

  /** Sends a request and returns the status when the answer is complete. */
  async send(request: Uint8Array): Promise<Status> {
    const answered = new Promise<Status>((resolve) => {
      this.#settle = resolve
    })
    await this.#send(request)
    return answered
  }

  /** Sends a request and reads nothing of the answer. */
  async sendUnread(request: Uint8Array): Promise<void> {
    await this.#send(request)
    this.#socket?.pause()
  }

  close(): void {
    this.#socket?.terminate()
    this.#socket = null
  }

  async #send(request: Uint8Array): Promise<void> {
    this.#head = ''
    this.#socket ??= await this.#open()
    this.#write(request)
  }

  #write(bytes: Uint8Array): void {
    const written = Math.max(0, this.#socket?.write(bytes) ?? 0)
    this.#unsent = written < bytes.byteLength ? bytes.subarray(written) : null
  }

  #open(): Promise<Socket> {
    const onEnd = () => {
      this.#socket = null
      this.#settle(0)
    }
    return Bun.connect({
      hostname: this.url.hostname,
      port: Number(this.url.port),
      socket: {
        data: (_, chunk) => this.#take(chunk),
        drain: () => {
          if (this.#unsent !== null) this.#write(this.#unsent)
        },
        close: onEnd,
        error: onEnd,
      },
    })
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.byteLength
    if (this.#head === HEAD_END) {
      this.#count(chunk.byteLength, chunk)
      return
    }
    this.#head += chunk.toString('latin1')
    const begin = this.#head.indexOf(HEAD_END)
    if (begin < 0) return
    const head = this.#head.slice(0, begin).toLowerCase()
    this.#status = Number(head.slice(9, 12))
    const length = /^content-length: (\d+)/m.exec(head)?.[1]
    const isEmpty = this.#status === 204 || this.#status === 304
    const isChunked = head.includes('transfer-encoding: chunked')
    this.#left = isChunked ? null : isEmpty ? 0 : Number(length ?? 0)
    this.#tail = ''
    this.#count(this.#head.length - begin - 4, chunk)
    this.#head = HEAD_END
  }

  #count(bytes: number, chunk: Buffer): void {
    if (this.#left === null) {
      this.#tail = (this.#tail + chunk.subarray(-5).toString('latin1')).slice(-5)
      if (this.#tail === LAST_CHUNK) this.#settle(this.#status)
      return
    }
    this.#left -= bytes
    if (this.#left <= 0) this.#settle(this.#status)
  }
}

/** Encodes a request for the wire. */
export function toBytes(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string | Uint8Array,
): Uint8Array {
  const content = body === undefined ? new Uint8Array() : Buffer.from(body as string)
  const all: Record<string, string> = { host: 'localhost', ...headers }
  if (body !== undefined) all['content-length'] = String(content.byteLength)
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`),
    content,
  ])
}
