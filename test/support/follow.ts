import { type TestService, TOKENS } from './service.ts'

/** A block of an event stream, as it was sent; absent where it has no such field. */
export type Block = { id?: string; event?: string; data?: string; retry?: string; comment?: string }

export type SubscriptionOptions = { lastEventId?: string; token?: string; accept?: string }

/** An event stream that is read a block at a time. */
export class SubscribedStream {
  #text = ''
  #blocks: Block[] = []
  readonly #reader: { read(): Promise<{ done: boolean; value?: Uint8Array }> }
  readonly #decoder = new TextDecoder()
  /** Of the last whole block that had one; what a client resumes with. */
  lastId: string | undefined

  private constructor(
    readonly response: Response,
    private readonly abort: AbortController,
  ) {
    this.#reader = response.body!.getReader()
  }

  static async open(service: TestService, query: string, options: SubscriptionOptions = {}) {
    const { lastEventId, token = TOKENS.auditor, accept = 'text/event-stream' } = options
    const abort = new AbortController()
    const response = await fetch(`${service.url}/audit/events?${query}`, {
      signal: abort.signal,
      headers: {
        accept,
        authorization: `Bearer ${token}`,
        ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
      },
    })
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
    return new SubscribedStream(response, abort)
  }

  /**
   * The next block but for keep-alives; null where the stream has ended. Rejects where it was
   * broken off.
   */
  async next(): Promise<Block | null> {
    for (;;) {
      const block = await this.nextOrKeepAlive()
      if (block?.comment === undefined) return block
    }
  }

  /** As `next`, keep-alives too. */
  async nextOrKeepAlive(): Promise<Block | null> {
    for (;;) {
      const block = this.#blocks.shift()
      if (block) {
        this.lastId = block.id ?? this.lastId
        return block
      }
      const { done, value } = await this.#reader.read()
      if (done) return null
      const parts = (this.#text + this.#decoder.decode(value, { stream: true })).split('\n\n')
      this.#text = parts.pop()!
      this.#blocks = parts.map(parseBlock)
    }
  }

  /** Returns when it has ended; until then nothing but keep-alives may come. */
  async untilEnd(): Promise<void> {
    const block = await this.next()
    if (block !== null) throw new Error(`not the end: ${JSON.stringify(block)}`)
  }

  /** The data of the next `count` events. */
  async events<Data = { shard: number; position: number }>(count: number): Promise<Data[]> {
    const events: Data[] = []
    while (events.length < count) {
      const block = await this.next()
      if (block === null) throw new Error(`the stream ended after ${events.length} events`)
      if (block.data !== undefined) events.push(JSON.parse(block.data))
    }
    return events
  }

  cut(): void {
    this.abort.abort()
  }
}

function parseBlock(text: string): Block {
  const block: Block = {}
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon) || 'comment'
    block[name as keyof Block] = line.slice(colon + 1).replace(/^ /, '')
  }
  return block
}
