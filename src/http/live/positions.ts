import type { Logger } from 'pino'
import type { Tokens } from '../../auth/tokens.ts'
import { covers, formatPositions, type Positions } from '../../events/positions.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Caller } from '../auth.ts'
import { type StreamSource, Streams, type StreamsOptions } from '../streams.ts'

/**
 * Streams that are told in one turn of the event loop, as in log/tails.ts: requests are served
 * between two slices. All 5,000 at once held them up for 50 ms.
 */
const BATCH = 100
/** Milliseconds after which a client that was cut connects again. */
const CLIENT_RETRY_MS = 1_000

export type LiveOptions = {
  readHeads: () => Promise<Positions>
  tokens: Tokens
  findOpenSessions: StreamsOptions['findOpenSessions']
  intervals: Intervals['streams']
  logger: Logger
  maxSubscribers: number
}

/**
 * Tells many where the log stands: it is looked at once a second for all of them, and not at all
 * while there are none. Who is slow gets the newest position, and not those between.
 */
export class LivePositions {
  readonly #streams: Streams
  readonly #sources = new Set<PositionSource>()
  #positions: Positions | null = null
  #text: string | null = null
  #polling: ReturnType<typeof setTimeout> | null = null

  constructor(private readonly options: LiveOptions) {
    this.#streams = new Streams({
      tokens: options.tokens,
      findOpenSessions: options.findOpenSessions,
      intervals: options.intervals,
      maxStreams: options.maxSubscribers,
      // A client comes again.
      endedEarly: 'closed',
      onKeepAlive: () => this.#forEach((source) => source.keepAlive()),
      onFailure: (error) => {
        if (!isUnavailable(error)) options.logger.error({ err: error }, 'live: stream failed')
      },
    })
  }

  /** Opens a stream to somebody; throws the problem 503 where there is no room for one more. */
  open(principal: Caller): ReadableStream<Uint8Array> {
    const source = new PositionSource(() => this.#remove(source))
    const stream = this.#streams.open(principal, source)
    this.#sources.add(source)
    if (this.#polling === null) this.#poll(0)
    else if (this.#text !== null) source.update(this.#text)
    return stream
  }

  /** Ends all, and opens no more. */
  stop(): void {
    this.#streams.stop()
  }

  /** One look after the other: while the database is slow, or away, they don't pile up. */
  #poll(ms: number): void {
    const timer = setTimeout(async () => {
      try {
        const positions = await this.options.readHeads()
        if (this.#polling === timer) this.#publish(positions)
      } catch (error) {
        if (!isUnavailable(error)) this.options.logger.error({ err: error }, 'live: no heads')
      }
      if (this.#polling === timer) this.#poll(this.options.intervals.pollIntervalMs)
    }, ms)
    this.#polling = timer
  }

  #publish(positions: Positions): void {
    // The log has lost events: a client sees its stream end, and begins anew.
    if (!covers(positions, this.#positions ?? [])) {
      this.#streams.endAll()
      return
    }
    const text = formatPositions(positions)
    if (text === this.#text) return
    this.#positions = positions
    this.#text = text
    void this.#forEach((source) => source.update(this.#text ?? text))
  }

  /** Who comes meanwhile is among them: what he was told already isn't told again. */
  async #forEach(act: (source: PositionSource) => void): Promise<void> {
    let count = 0
    for (const source of this.#sources) {
      act(source)
      if (++count % BATCH === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #remove(source: PositionSource): void {
    this.#sources.delete(source)
    if (this.#sources.size > 0 || this.#polling === null) return
    clearTimeout(this.#polling)
    this.#polling = null
    this.#positions = null
    this.#text = null
  }
}

/** What one client is yet to be told. */
class PositionSource implements StreamSource {
  #first = `retry: ${CLIENT_RETRY_MS}\n\n`
  #positions: string | null = null
  #sent: string | null = null
  #isKeepAliveDue = false
  #isOver = false
  #resolve: (() => void) | null = null

  constructor(private readonly onEnd: () => void) {}

  /** The newest positions; those before need not be told any more. */
  update(positions: string): void {
    if (positions === this.#sent) return
    this.#positions = positions
    this.#sent = positions
    this.#wake()
  }

  /** Something is to be sent, so that everybody between sees the connection used. */
  keepAlive(): void {
    this.#isKeepAliveDue = true
    this.#wake()
  }

  async next(): Promise<Uint8Array[] | null> {
    while (this.#positions === null && !this.#isKeepAliveDue && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
    }
    if (this.#isOver) return null
    const event = this.#positions === null ? ':\n\n' : `data: ${this.#positions}\n\n`
    const text = this.#first + event
    this.#first = ''
    this.#positions = null
    this.#isKeepAliveDue = false
    return [Buffer.from(text)]
  }

  end(): void {
    this.#isOver = true
    this.#wake()
    this.onEnd()
  }

  #wake(): void {
    this.#resolve?.()
    this.#resolve = null
  }
}
