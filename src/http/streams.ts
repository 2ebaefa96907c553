import type { Tokens } from '../auth/tokens.ts'
import type { Intervals } from '../platform/intervals.ts'
import type { Caller } from './caller.ts'
import { unavailable } from './problem.ts'

/** Bytes that are passed to a connection at once; it gets more when it has taken them. */
const CHUNK_BYTES = 64 * 1024

/** Produces the data of a stream, on request when its client can take more. */
export type StreamSource = {
  /**
   * Returns the next bytes, or null at the end. Called when all previous bytes were taken. The
   * parts may be shared with other streams and must not be changed. Rejects if the response can't
   * be completed.
   */
  next(): Promise<Uint8Array[] | null>
  /** Called once when the stream is over, for any reason; must resolve a pending `next`. */
  end(): void
}

/** The number of open streams. */
export type StreamCount = { open: number }

export type StreamsOptions = {
  tokens: Tokens
  /** Returns the sessions that are still open, by the SHA-256 of their ids. */
  findOpenSessions: (idsSha256: string[]) => Promise<Set<string>>
  /** The maximum number of open streams. */
  maxStreams: number
  /** How many of them are open, if it is shared with streams of another kind. */
  count?: StreamCount
  /** How a stream is ended early: `closed` if clients resume, else its connection is reset. */
  endedEarly: 'closed' | 'broken off'
  intervals: Pick<Intervals['streams'], 'authIntervalMs' | 'keepAliveMs'>
  /** Called every `keepAliveMs` while a stream is open. */
  onKeepAlive?: () => void
  /**
   * Called with every error of a stream, and with the id of its request, or of the check of
   * sessions.
   */
  onFailure: (error: unknown, requestId?: string) => void
}

/**
 * The open streams of one kind. Each holds its source and the chunk that its client has not taken
 * yet. A stream ends with its source, its client, its token, its session or the service.
 */
export class Streams {
  readonly #open = new Set<Stream>()
  #isCheckingSessions = false
  #stopped = false
  #timers: ReturnType<typeof setInterval>[] = []

  readonly #count: StreamCount

  constructor(private readonly options: StreamsOptions) {
    this.#count = options.count ?? { open: 0 }
  }

  /** Throws problem 503 if no more streams can be opened. */
  checkRoom(): void {
    if (this.#stopped) throw unavailable('stopping')
    if (this.#count.open >= this.options.maxStreams)
      throw unavailable('too many streams', RETRY_AFTER_S)
  }

  /** Opens a stream from `source` to a caller; throws as `checkRoom` does. */
  open(principal: Caller, source: StreamSource, requestId?: string): ReadableStream<Uint8Array> {
    this.checkRoom()
    const onFailure = (error: unknown) => this.options.onFailure(error, requestId)
    const stream = new Stream(principal, source, { ...this.options, onFailure }, () => {
      this.#open.delete(stream)
      this.#count.open--
      if (this.#open.size > 0) return
      for (const timer of this.#timers.splice(0)) clearInterval(timer)
    })
    this.#open.add(stream)
    this.#count.open++
    if (this.#timers.length === 0) this.#startTimers()
    return stream.readable
  }

  /** Ends all open streams. */
  endAll(): void {
    for (const stream of [...this.#open]) stream.end()
  }

  /** Ends all open streams and refuses new ones. */
  stop(): void {
    this.#stopped = true
    this.endAll()
  }

  #startTimers(): void {
    const { intervals, onKeepAlive } = this.options
    this.#timers.push(setInterval(() => this.#endUnauthorized(), intervals.authIntervalMs))
    if (onKeepAlive) this.#timers.push(setInterval(onKeepAlive, intervals.keepAliveMs))
  }

  /** Ends the streams whose tokens were revoked or whose sessions have expired. */
  #endUnauthorized(): void {
    const { tokens } = this.options
    for (const stream of [...this.#open]) {
      const { principal } = stream
      if (!tokens.holds(principal) || hasExpired(principal)) stream.end()
    }
    void this.#endSignedOut()
  }

  /**
   * Ends the streams whose sessions were ended. Any instance may end a session, so this asks the
   * database. While that is unavailable, no one can end a session.
   */
  async #endSignedOut(): Promise<void> {
    const withSession = [...this.#open].filter(({ principal }) => principal.idSha256 !== undefined)
    if (withSession.length === 0 || this.#isCheckingSessions) return
    this.#isCheckingSessions = true
    try {
      const ids = new Set(withSession.map(({ principal }) => principal.idSha256!))
      const open = await this.options.findOpenSessions([...ids])
      for (const stream of withSession) if (!open.has(stream.principal.idSha256!)) stream.end()
    } catch (error) {
      this.options.onFailure(error)
    }
    this.#isCheckingSessions = false
  }
}

const hasExpired = ({ expiresAt }: Caller) =>
  expiresAt !== undefined && Date.parse(expiresAt) < Date.now()

/** Seconds after which a client may retry when too many streams are open. */
const RETRY_AFTER_S = 5

class Stream {
  readonly readable: ReadableStream<Uint8Array>
  #controller!: ReadableStreamDefaultController<Uint8Array>
  /** Data that was produced but not yet passed to the connection. */
  readonly #pending = new Parts()
  /** True while the client has taken everything and waits for more. */
  #isPulling = false
  #isOver = false

  constructor(
    readonly principal: Caller,
    private readonly source: StreamSource,
    private readonly options: StreamsOptions,
    private readonly onOver: () => void,
  ) {
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => this.#pull(),
        cancel: () => this.#finish(),
      },
      // Nothing is produced before the connection asks for it.
      { highWaterMark: 0 },
    )
  }

  /** Ends the stream early. */
  end(): void {
    if (this.#isOver) return
    this.#finish()
    // A client that has not taken everything can't be waited for, so its connection is reset.
    if (this.options.endedEarly === 'closed' && this.#isPulling) this.#controller.close()
    else this.#breakOff()
  }

  async #pull(): Promise<void> {
    this.#isPulling = true
    try {
      if (this.#pending.isEmpty) {
        const next = await this.source.next()
        if (this.#isOver) return
        if (next === null) {
          this.#finish()
          return this.#controller.close()
        }
        this.#pending.set(next)
      }
      this.#controller.enqueue(this.#pending.take(CHUNK_BYTES))
    } catch (error) {
      this.options.onFailure(error)
      if (this.#isOver) return
      this.#finish()
      this.#breakOff()
    } finally {
      this.#isPulling = false
    }
  }

  /**
   * Resets the connection, so that the client does not take the data for complete. No reason is
   * given, because Bun would print it to stderr.
   */
  #breakOff(): void {
    this.#controller.error(undefined)
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#pending.set([])
    this.source.end()
    this.onOver()
  }
}

/** Parts of a response, taken in chunks. Large parts are not copied, as streams may share them. */
class Parts {
  #parts: Uint8Array[] = []

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  set(parts: Uint8Array[]): void {
    this.#parts = parts
  }

  /** Takes the next bytes, at most `bytes`. */
  take(bytes: number): Uint8Array {
    let count = 0
    let size = 0
    while (count < this.#parts.length && size + this.#parts[count]!.byteLength <= bytes) {
      size += this.#parts[count]!.byteLength
      count++
    }
    if (count > 0) return Buffer.concat(this.#parts.splice(0, count), size)
    const [large] = this.#parts
    this.#parts[0] = large!.subarray(bytes)
    return large!.subarray(0, bytes)
  }
}
