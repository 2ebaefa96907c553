import { formatPositions, type Positions } from '../../events/positions.ts'
import { CatchUpCursor } from '../../log/subscriptions/catch-up-cursor.ts'
import type { Line } from '../../log/subscriptions/event-line.ts'
import { takeNextByTime } from '../../log/subscriptions/merge-by-time.ts'
import { type ReadPage, ShardCursor } from '../../log/subscriptions/shard-cursor.ts'
import type { Subscriber, TailBuffers } from '../../log/subscriptions/tail-buffers.ts'
import { isUnavailable, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { StreamSource } from '../streams.ts'

/**
 * A follower that isn't at the head reads small pages: with many of them each holds one while its
 * client takes its time.
 */
const PAGE = { rows: 256, bytes: 64 * 1024 }
/** Bytes that one answer of `next` has, about: a line that is larger comes alone. */
const NEXT_BYTES = 64 * 1024
/** Milliseconds after which a client that was cut connects again. */
const CLIENT_RETRY_MS = 1_000

/**
 * Bytes of pages that all followers of a process may hold. Above it nobody reads one more: who
 * holds some drops them and reads them again later, so that they can't wait for each other.
 */
const MAX_HELD_BYTES = 512 * 1024 * 1024

/** Bytes of pages that all followers hold; shared by them. */
export type HeldPages = { bytes: number }

export type SubscriptionOptions = {
  tails: TailBuffers
  held: HeldPages
  /** Null: all, merged. */
  shard: number | null
  /** Where to start, a shard each. */
  after: Positions
  /** Which lines of a tail to send; `read` leaves the same ones out. */
  matches: (line: Line) => boolean
  read: ReadPage
  /** Events after which it ends. */
  limit: number
  /** Milliseconds until a page is tried again that the database didn't give. */
  retryAfterMs: number
}

/**
 * Follows the log as server-sent events. What it holds is its positions and one small page: it
 * makes a chunk when its client can take one, and reads on from wherever the client is.
 */
export class SubscriptionSource implements StreamSource, Subscriber {
  readonly shard: number | null
  readonly #cursors: CatchUpCursor[]
  #remaining: number
  /** The client knows them: the last id that was sent. */
  #sentId: string | null = null
  #isKeepAliveDue = false
  #isOver = false
  #isReading = false
  /** What it has of the shared sum: its pages, and of those what its client hasn't taken. */
  #heldBytes = 0
  #unsentBytes = 0
  #failure: { error: unknown } | null = null
  #resolve: (() => void) | null = null

  constructor(private readonly options: SubscriptionOptions) {
    const { shard, after, limit, tails, read, matches } = options
    this.shard = shard
    this.#remaining = limit
    this.#cursors = after.map(
      (position, i) =>
        new CatchUpCursor(tails, matches, new ShardCursor(shard ?? i, position, read, PAGE)),
    )
    tails.subscribe(this)
  }

  async next(): Promise<Uint8Array[] | null> {
    // The client has taken what was given before.
    this.#unsentBytes = 0
    this.#account()
    for (;;) {
      if (this.#failure) throw this.#failure.error
      if (this.#isOver) return null
      const chunk = this.#makeChunk()
      if (chunk !== null) return chunk
      if (this.#remaining === 0) return null
      // Between these two nobody else runs: no wake is lost.
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
    }
  }

  positionIn(shard: number): number | undefined {
    return this.#cursors.find(({ pages }) => pages.shard === shard)?.pages.position
  }

  /** There may be something new. */
  wake(): void {
    this.#resolve?.()
    this.#resolve = null
  }

  /** Something is sent by the next turn, and be it that nothing is new. */
  keepAlive(): void {
    this.#isKeepAliveDue = true
  }

  /** The stream ends; who comes again is told where the log stands. */
  lose(): void {
    this.#remaining = 0
    for (const { pages } of this.#cursors) pages.drop()
    this.wake()
  }

  end(): void {
    this.#isOver = true
    this.options.tails.leave(this)
    this.#unsentBytes = 0
    this.#dropPages()
    this.wake()
  }

  #makeChunk(): Uint8Array[] | null {
    const parts: Uint8Array[] = []
    if (this.#sentId === null) {
      // The id first of all: a client that is cut before its first event resumes where it began.
      parts.push(encode(`retry: ${CLIENT_RETRY_MS}\nid: ${this.#nextId()}\n\n`))
    }
    for (let bytes = 0; bytes < NEXT_BYTES && this.#remaining > 0; ) {
      const pagedBytes = this.#pagedBytes
      const line = takeNextByTime(this.#cursors)
      // Of a page that is used up the lines are still to be sent.
      this.#unsentBytes += pagedBytes - this.#pagedBytes
      if (line === 'read') this.#read()
      if (line === 'read' || line === 'none') break
      parts.push(encode(`event: ${line.type}\nid: ${this.#nextId()}\ndata: `), line.json, END)
      bytes += line.json.byteLength
      this.#remaining--
    }
    if (parts.length === 0 && this.#isKeepAliveDue) parts.push(this.#makeKeepAlive())
    if (parts.length === 0) return null
    this.#isKeepAliveDue = false
    return parts
  }

  /** A comment; with the new id where a filter has left events out. */
  #makeKeepAlive(): Uint8Array {
    const before = this.#sentId
    const id = this.#nextId()
    return encode(id === before ? ':\n\n' : `:\nid: ${id}\n\n`)
  }

  #nextId(): string {
    const positions = this.#cursors.map(({ pages }) => pages.position)
    this.#sentId =
      this.shard === null ? formatPositions(positions) : `${this.shard}/${positions[0]}`
    return this.#sentId
  }

  /**
   * Reads pages where they are wanted; meanwhile, and while the database is away, keep-alives go
   * on.
   */
  async #read(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    try {
      if (this.options.held.bytes - this.#heldBytes > MAX_HELD_BYTES) {
        this.#dropPages()
        throw new TemporarilyUnavailable('too many streams')
      }
      await Promise.all(this.#cursors.map((shard) => shard.fill()))
    } catch (error) {
      if (isUnavailable(error)) await Bun.sleep(this.options.retryAfterMs)
      else this.#failure = { error }
    }
    this.#isReading = false
    if (this.#isOver) this.#dropPages()
    this.#account()
    this.wake()
  }

  get #pagedBytes(): number {
    return this.#cursors.reduce((sum, { pages }) => sum + pages.bytes, 0)
  }

  #dropPages(): void {
    for (const { pages } of this.#cursors) pages.drop()
    this.#account()
  }

  #account(): void {
    const bytes = this.#pagedBytes + this.#unsentBytes
    this.options.held.bytes += bytes - this.#heldBytes
    this.#heldBytes = bytes
  }
}

const encoder = new TextEncoder()
const encode = (text: string) => encoder.encode(text)
const END = encode('\n\n')
