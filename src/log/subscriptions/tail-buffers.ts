import type { Logger } from 'pino'
import type { Positions } from '../../events/positions.ts'
import { SingleFlight } from '../../platform/async/single-flight.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Line } from './event-line.ts'
import { ShardTail, type TailBufferOptions } from './tail-buffer.ts'

/**
 * Followers that are woken in one turn of the event loop. Each makes and sends what is new, some
 * 30 µs: requests are served between two slices (with 5,000 followers within 4 to 56 ms), where all
 * at once held them up for 71 to 96 ms.
 */
const SLICE = 100

/** Somebody who waits for what a shard, or any (null), will bring. */
export type Subscriber = {
  readonly shard: number | null
  /** Where it stands in a shard; undefined where it doesn't follow that one. */
  positionIn(shard: number): number | undefined
  /** There may be something new. */
  wake(): void
  /** Its log is another one now: it ends. */
  lose(): void
  /** Now and then: to be noted for the next `wake`. */
  keepAlive(): void
}

export type TailBuffersOptions = {
  shards: number
  readHeads: () => Promise<Positions>
  read: TailBufferOptions['read']
  identify: TailBufferOptions['identify']
  /** Milliseconds between two looks, while somebody follows, for what other processes append. */
  pollIntervalMs: number
  logger: Logger
}

/**
 * The tails of all shards: what followers of the log read while they keep up with it. Nothing is
 * read while nobody follows.
 */
export class TailBuffers {
  readonly heads: SingleFlight<Positions>
  readonly #tails: ShardTail[]
  readonly #subscribers = new Set<Subscriber>()
  /** Those whose turn to be woken is yet to come. */
  readonly #due = new Set<Subscriber>()
  #polling: ReturnType<typeof setTimeout> | null = null
  #waking = false

  constructor(private readonly options: TailBuffersOptions) {
    const { shards, read, identify, readHeads } = options
    this.heads = new SingleFlight(readHeads)
    const onGrown = (shard: number) => this.#wake(shard)
    const onLost = (shard: number) => this.#lose(shard)
    this.#tails = Array.from(
      { length: shards },
      (_, shard) => new ShardTail({ shard, shards, read, identify, onGrown, onLost }),
    )
  }

  /** Wakes the follower from now on, until it leaves. */
  subscribe(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber)
    if (this.#polling === null) this.#poll(0)
  }

  leave(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber)
    this.#due.delete(subscriber)
    if (this.#subscribers.size > 0) return
    if (this.#polling !== null) clearTimeout(this.#polling)
    this.#polling = null
    for (const tail of this.#tails) tail.clear()
  }

  /** See ShardTail. */
  lineAfter(shard: number, position: number): Line | 'older' | 'none' {
    return this.#tails[shard]!.lineAfter(position)
  }

  /** The last position of a shard that is known to be in the log; -1 where none is known. */
  headOf(shard: number): number {
    return this.#tails[shard]!.head
  }

  /** Tells that this process has appended to a shard, the last event at `position`. */
  noticeAppend(shard: number, position: number): void {
    void this.#advance(shard, position)
  }

  /** Wakes every follower to send a keep-alive, a slice after the other. */
  keepAlive(): void {
    for (const subscriber of this.#subscribers) {
      subscriber.keepAlive()
      this.#due.add(subscriber)
    }
    this.#wakeDue()
  }

  #poll(ms: number): void {
    const timer = setTimeout(async () => {
      try {
        const before = [...this.#subscribers]
        const heads = await this.heads.read()
        for (const subscriber of before) loseWhereAhead(subscriber, heads)
        await Promise.all(heads.map((head, shard) => this.#advance(shard, head)))
      } catch (error) {
        this.#note(error)
      }
      if (this.#polling === timer) this.#poll(this.options.pollIntervalMs)
    }, ms)
    this.#polling = timer
  }

  async #advance(shard: number, head: number): Promise<void> {
    if (this.#subscribers.size === 0) return
    try {
      await this.#tails[shard]!.advance(head)
    } catch (error) {
      // The next look tries again.
      this.#note(error)
    }
  }

  /** Ends all who follow a shard: what they have is of another log. */
  #lose(shard: number): void {
    this.options.logger.error({ shard }, 'tails: the log has lost events that were sent')
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.shard === null || subscriber.shard === shard) subscriber.lose()
    }
  }

  #note(error: unknown): void {
    if (!isUnavailable(error)) this.options.logger.error({ err: error }, 'tails: read failed')
  }

  #wake(shard: number): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.shard === null || subscriber.shard === shard) this.#due.add(subscriber)
    }
    this.#wakeDue()
  }

  #wakeDue(): void {
    if (this.#waking) return
    this.#waking = true
    const wakeSlice = () => {
      let woken = 0
      for (const subscriber of this.#due) {
        if (woken++ === SLICE) break
        this.#due.delete(subscriber)
        subscriber.wake()
      }
      this.#waking = this.#due.size > 0
      if (this.#waking) setImmediate(wakeSlice)
    }
    wakeSlice()
  }
}

/** Ends who stands behind the heads, seen after it came: what it has is of another log. */
function loseWhereAhead(subscriber: Subscriber, heads: Positions): void {
  if (heads.some((head, shard) => (subscriber.positionIn(shard) ?? -1) > head)) subscriber.lose()
}
