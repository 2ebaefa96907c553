import net from 'node:net'
import { type TestService, TOKENS } from './service.ts'

/**
 * An event stream on its own socket, because fetch opens at most 256 at once. HTTP/1.0 has no
 * chunks, so the text after the head is the body.
 */
export class RawStream {
  readonly socket: net.Socket
  /** Everything received, head and body. */
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

  /** The events received so far, as `shard/position`. */
  get names(): string[] {
    const found = this.text.matchAll(/^data: \{"shard":(\d+),"position":(\d+).*\n\n/gm)
    return [...found].map(([, shard, position]) => `${shard}/${position}`)
  }

  /**
   * Waits for the first block, which has no event, and `count` more. Keep-alives don't count.
   * Rejects if the stream ends before.
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
