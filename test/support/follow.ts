import { type TestService, TOKENS } from './service.ts'

/** A block of an event stream as sent; fields it lacks are undefined. */
export type Block = { id?: string; event?: string; data?: string; retry?: string; comment?: string }

export type SubscriptionOptions = {
  lastEventId?: string
  token?: string
  accept?: string
  /** The stream; that of the log by default. */
  path?: string
}

/** An event stream that is read block by block. */
export class SubscribedStream {
  #text = ''
  #blocks: Block[] = []
  readonly #reader: { read(): Promise<{ done: boolean; value?: Uint8Array }> }
  readonly #decoder = new TextDecoder()
  /** The id of the last block that had one, from which a client resumes. */
  lastId: string | undefined

  private constructor(
    readonly response: Response,
    private readonly abort: AbortController,
  ) {
    this.#reader = response.body!.getReader()
  }

  static async open(service: TestService, query: string, options: SubscriptionOptions = {}) {
    const { lastEventId, token = TOKENS.auditor, accept = 'text/event-stream' } = options
    const { path = '/audit/events' } = options
    const abort = new AbortController()
    const response = await fetch(`${service.url}${path}?${query}`, {
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
   * Returns the next block that isn't a keep-alive, or null if the stream has ended. Rejects if the
   * connection was lost.
   */
  async next(): Promise<Block | null> {
    for (;;) {
      const block = await this.nextOrKeepAlive()
      if (block?.comment === undefined) return block
    }
  }

  /** Like `next`, but returns keep-alives too. */
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

  /** Waits for the end of the stream; rejects if anything but keep-alives comes before it. */
  async untilEnd(): Promise<void> {
    const block = await this.next()
    if (block !== null) throw new Error(`not the end: ${JSON.stringify(block)}`)
  }

  /** Returns the data of the next `count` events. */
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
