import type { Tokens } from '../auth/tokens.ts'
import type { Intervals } from '../platform/intervals.ts'
import type { Caller } from './auth.ts'
import { unavailable } from './problem.ts'

/** Bytes that are handed to a connection at once; more only when it has taken them. */
const CHUNK_BYTES = 64 * 1024

/** What a stream sends, withSession for when its client can take more. */
export type StreamSource = {
  /**
   * The next bytes, in parts that may be shared: nobody changes them. Null at the end. Asked for
   * when all before was taken. Rejects where the answer can't be made whole.
   */
  next(): Promise<Uint8Array[] | null>
  /** The stream is over, whoever ended it. Called once; a `next` under way resolves. */
  end(): void
}

export type StreamsOptions = {
  tokens: Tokens
  /** Those of the sessions, by the SHA-256 of their ids, that nobody has ended. */
  findOpenSessions: (idsSha256: string[]) => Promise<Set<string>>
  /** Streams that may be open at once. */
  maxStreams: number
  /** What becomes of a stream that is ended early: `closed` where its client resumes. */
  endedEarly: 'closed' | 'broken off'
  intervals: Pick<Intervals['streams'], 'authIntervalMs' | 'keepAliveMs'>
  /** Called every `keepAliveMs` while a stream is open. */
  onKeepAlive?: () => void
  /** Told of what can't be explained by a database that is away. */
  onFailure: (error: unknown) => void
}

/**
 * The open streams of one kind. Each holds its source and the chunk that its client hasn't taken.
 * They end with their source, their client, their token, their session, or the service.
 */
export class Streams {
  readonly #open = new Set<Stream>()
  #isCheckingSessions = false
  #stopped = false
  #timers: ReturnType<typeof setInterval>[] = []

  constructor(private readonly options: StreamsOptions) {}

  /** Throws the problem 503 where there is no room for one more. */
  checkRoom(): void {
    if (this.#stopped) throw unavailable('stopping')
    if (this.#open.size >= this.options.maxStreams)
      throw unavailable('too many streams', RETRY_AFTER_S)
  }

  /** Opens a stream of `source` to somebody; throws as `checkRoom` does. */
  open(principal: Caller, source: StreamSource): ReadableStream<Uint8Array> {
    this.checkRoom()
    const stream = new Stream(principal, source, this.options, () => {
      this.#open.delete(stream)
      if (this.#open.size > 0) return
      for (const timer of this.#timers.splice(0)) clearInterval(timer)
    })
    this.#open.add(stream)
    if (this.#timers.length === 0) this.#startTimers()
    return stream.readable
  }

  /** Ends all that are open. */
  endAll(): void {
    for (const stream of [...this.#open]) stream.end()
  }

  /** Ends all, and opens no more. */
  stop(): void {
    this.#stopped = true
    this.endAll()
  }

  #startTimers(): void {
    const { intervals, onKeepAlive } = this.options
    this.#timers.push(setInterval(() => this.#endUnauthorized(), intervals.authIntervalMs))
    if (onKeepAlive) this.#timers.push(setInterval(onKeepAlive, intervals.keepAliveMs))
  }

  /** Ends those whose tokens and sessions don't count any more. */
  #endUnauthorized(): void {
    const { tokens } = this.options
    for (const stream of [...this.#open]) {
      const { principal } = stream
      if (!tokens.holds(principal) || hasExpired(principal)) stream.end()
    }
    void this.#endSignedOut()
  }

  /** Sessions are ended on any instance: the database knows. While it is away, nobody ends one. */
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

/** Seconds after which a client that found no room may come again. */
const RETRY_AFTER_S = 5

class Stream {
  readonly readable: ReadableStream<Uint8Array>
  #controller!: ReadableStreamDefaultController<Uint8Array>
  /** What was made and not handed on yet. */
  readonly #pending = new Parts()
  /** True where the client has taken all and waits for more. */
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
      // Nothing is made before the connection asks for it.
      { highWaterMark: 0 },
    )
  }

  /** Ends it before its end. */
  end(): void {
    if (this.#isOver) return
    this.#finish()
    // Who hasn't taken what was sent can't be waited for.
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
   * Resets the connection, so that nobody takes what has come for all there is. Without a reason:
   * Bun prints one to the service's stderr.
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

/** Parts of an answer, taken in chunks. A large part is never copied whole: others send it too. */
class Parts {
  #parts: Uint8Array[] = []

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  set(parts: Uint8Array[]): void {
    this.#parts = parts
  }

  /** The first bytes, so many at most. */
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
