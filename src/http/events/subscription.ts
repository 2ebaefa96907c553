import { takeNextByTime } from '../../events/merge-by-time.ts'
import { formatPositions, type Positions } from '../../events/positions.ts'
import { isUnavailable, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import { CatchUpCursor } from '../../subscriptions/catch-up-cursor.ts'
import type { Line } from '../../subscriptions/event-line.ts'
import { type ReadPage, ShardCursor } from '../../subscriptions/shard-cursor.ts'
import type { Subscriber, TailBuffers } from '../../subscriptions/tail-buffers.ts'
import type { StreamSource } from '../streams.ts'

/**
 * Limits of the pages that a stream reads while it is behind the tail. They are small because each
 * of many streams may hold one while its client is slow.
 */
const PAGE = { rows: 256, bytes: 64 * 1024 }
/** Approximate bytes that `next` returns at once; a larger line is returned alone. */
const NEXT_BYTES = 64 * 1024
/** How long a disconnected client waits before it reconnects, in milliseconds. */
const CLIENT_RETRY_MS = 1_000

/**
 * Bytes of pages that all live streams of a process may hold. Beyond that a stream that wants to
 * read drops its own pages and reads them again later, so that streams can't deadlock.
 */
const MAX_HELD_BYTES = 512 * 1024 * 1024

/** Bytes of pages that all live streams hold; one object shared by all of them. */
export type HeldPages = { bytes: number }

export type SubscriptionOptions = {
  tails: TailBuffers
  held: HeldPages
  /** The shard to stream, or null for all shards merged by time. */
  shard: number | null
  /** The position to start after, per shard. */
  after: Positions
  /** True for the lines of a tail to send; `read` must apply the same filter. */
  matches: (line: Line) => boolean
  read: ReadPage
  /** The number of events after which the stream ends. */
  limit: number
  /** Milliseconds before a page is read again after the database was unavailable. */
  retryAfterMs: number
}

/**
 * A live stream of the log as server-sent events. It holds only its positions and one small page
 * per shard: it builds a chunk when the client can take one, and reads on from its position.
 */
export class SubscriptionSource implements StreamSource, Subscriber {
  readonly shard: number | null
  readonly #cursors: CatchUpCursor[]
  #remaining: number
  /** The last id that was sent: the positions that the client knows. */
  #sentId: string | null = null
  #isKeepAliveDue = false
  #isOver = false
  #isReading = false
  /** This stream's share of `held`: its pages, and lines of used pages that are not sent yet. */
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
    // The client has taken everything returned before.
    this.#unsentBytes = 0
    this.#account()
    for (;;) {
      if (this.#failure) throw this.#failure.error
      if (this.#isOver) return null
      const chunk = this.#makeChunk()
      if (chunk !== null) return chunk
      if (this.#remaining === 0) return null
      // Nothing else runs between #makeChunk and here, so no wake is lost.
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
    }
  }

  positionIn(shard: number): number | undefined {
    return this.#cursors.find(({ pages }) => pages.shard === shard)?.pages.position
  }

  /** Called when there may be something new. */
  wake(): void {
    this.#resolve?.()
    this.#resolve = null
  }

  /** Requests that the next wake sends something, even if there is no new event. */
  keepAlive(): void {
    this.#isKeepAliveDue = true
  }

  /** Ends the stream because the log lost events; a client that resumes gets problem 400. */
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
      // Send the id first: a client that is cut before its first event resumes where it began.
      parts.push(encode(`retry: ${CLIENT_RETRY_MS}\nid: ${this.#nextId()}\n\n`))
    }
    for (let bytes = 0; bytes < NEXT_BYTES && this.#remaining > 0; ) {
      const pagedBytes = this.#pagedBytes
      const line = takeNextByTime(this.#cursors)
      // A used-up page no longer counts as paged, but its lines are still to be sent.
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

  /** Makes a comment, with the new id if the filter has skipped events. */
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
   * Reads the missing pages. Keep-alives are still sent during the read, and while the database is
   * unavailable.
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
