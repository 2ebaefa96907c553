import net from 'node:net'
import { type TestService, TOKENS } from './service.ts'

/**
 * An event stream on a socket of its own: fetch opens 256 at once. HTTP/1.0 has no chunks, so the
 * text is the body's.
 */
export class RawStream {
  readonly socket: net.Socket
  /** All that has come, head and body. */
  text = ''
  readonly closed: Promise<void>
  #onText = () => {}

  constructor(service: TestService, query: string) {
    const { hostname, port } = new URL(service.url)
    this.socket = net.connect(Number(port), hostname)
    this.socket.setEncoding('latin1')
    this.socket.on('error', () => {})
    this.socket.on('data', (text) => {
      this.text += text
      this.#onText()
    })
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()))
    this.socket.write(
      `GET /audit/events?${query} HTTP/1.0\r\nhost: x\r\naccept: text/event-stream\r\n` +
        `authorization: Bearer ${TOKENS.auditor}\r\n\r\n`,
    )
  }

  /** The names of the events that have come. */
  get names(): string[] {
    const found = this.text.matchAll(/^data: \{"shard":(\d+),"position":(\d+).*\n\n/gm)
    return [...found].map(([, shard, position]) => `${shard}/${position}`)
  }

  /**
   * Returns when so many blocks have come, the first one without an event; signs of life are none.
   * Rejects where the stream ends before.
   */
  async blocks(count: number): Promise<void> {
    const isThere = () =>
      this.text.split('\n\n').filter((block) => !block.startsWith(':')).length > count
    const ended = this.closed.then(() => 'ended' as const)
    while (!isThere()) {
      const more = new Promise<'more'>((resolve) => {
        this.#onText = () => resolve('more')
      })
      if ((await Promise.race([ended, more])) === 'ended' && !isThere()) {
        throw new Error(`the stream ended after ${this.text.slice(0, 200)}`)
      }
    }
  }
}
