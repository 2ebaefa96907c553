import type { Logger } from 'pino'
import type { Tokens } from '../../auth/tokens.ts'
import { covers, formatPositions, type Positions } from '../../events/positions.ts'
import { Poll } from '../../platform/async/poll.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Caller } from '../caller.ts'
import { type StreamSource, Streams, type StreamsOptions } from '../streams.ts'

/**
 * Streams that are updated in one turn of the event loop, so that requests are served between two
 * batches. Updating 5,000 streams at once delayed requests by 50 ms.
 */
const BATCH = 100
/** How long a disconnected client waits before it reconnects, in milliseconds. */
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
 * Sends the heads of the log to many streams. It polls the heads once a second for all of them, and
 * not at all while there are none. A slow client gets the newest positions and skips those between.
 */
export class LivePositions {
  readonly #streams: Streams
  readonly #sources = new Set<PositionSource>()
  #positions: Positions | null = null
  #text: string | null = null
  /** Null while there are no streams. */
  #poll: Poll | null = null

  constructor(private readonly options: LiveOptions) {
    this.#streams = new Streams({
      tokens: options.tokens,
      findOpenSessions: options.findOpenSessions,
      intervals: options.intervals,
      maxStreams: options.maxSubscribers,
      // The client reconnects.
      endedEarly: 'closed',
      onKeepAlive: () => this.#forEach((source) => source.keepAlive()),
      onFailure: (error, requestId) => {
        if (isUnavailable(error)) return
        options.logger.error({ err: error, request_id: requestId }, 'live: stream failed')
      },
    })
  }

  /** Opens a stream for a caller. Throws problem 503 if too many streams are open. */
  open(principal: Caller, requestId?: string): ReadableStream<Uint8Array> {
    const source = new PositionSource(() => this.#remove(source))
    const stream = this.#streams.open(principal, source, requestId)
    this.#sources.add(source)
    if (this.#poll === null) this.#startPolling()
    else if (this.#text !== null) source.update(this.#text)
    return stream
  }

  /** Ends all streams and refuses new ones. */
  stop(): void {
    this.#streams.stop()
  }

  #startPolling(): void {
    const { readHeads, intervals, logger } = this.options
    const poll = new Poll(async () => {
      try {
        const positions = await readHeads()
        if (!poll.isStopped) this.#publish(positions)
      } catch (error) {
        if (isUnavailable(error)) return
        logger.error({ err: error }, 'live: could not read the heads of the log')
      }
    }, intervals.pollIntervalMs)
    this.#poll = poll.start(0)
  }

  #publish(positions: Positions): void {
    // The log has lost events. Clients see their stream end, and start again.
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

  /** Includes sources that are added during the run: they ignore an update that they have. */
  async #forEach(act: (source: PositionSource) => void): Promise<void> {
    let count = 0
    for (const source of this.#sources) {
      act(source)
      if (++count % BATCH === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #remove(source: PositionSource): void {
    this.#sources.delete(source)
    if (this.#sources.size > 0) return
    void this.#poll?.stop()
    this.#poll = null
    this.#positions = null
    this.#text = null
  }
}

/** The positions that one client has not been sent yet. */
class PositionSource implements StreamSource {
  #first = `retry: ${CLIENT_RETRY_MS}\n\n`
  #positions: string | null = null
  #sent: string | null = null
  #isKeepAliveDue = false
  #isOver = false
  #resolve: (() => void) | null = null

  constructor(private readonly onEnd: () => void) {}

  /** Sets the newest positions, which replace any that were not sent yet. */
  update(positions: string): void {
    if (positions === this.#sent) return
    this.#positions = positions
    this.#sent = positions
    this.#wake()
  }

  /** Requests that something is sent, so that proxies don't close the connection as idle. */
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
