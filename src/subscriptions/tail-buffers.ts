import type { Logger } from 'pino'
import type { Positions } from '../events/positions.ts'
import { Poll } from '../platform/async/poll.ts'
import { SingleFlight } from '../platform/async/single-flight.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Line } from './event-line.ts'
import { TailBuffer, type TailBufferOptions } from './tail-buffer.ts'

/**
 * Subscribers woken in one turn of the event loop. Each takes some 30 µs to send its new lines.
 * Requests are served between two slices (with 5,000 subscribers within 4 to 56 ms), while waking
 * all at once delayed them by 71 to 96 ms.
 */
const SLICE = 100

/** A subscriber to the new lines of one shard, or of all (null). */
export type Subscriber = {
  readonly shard: number | null
  /** Returns its position in a shard; undefined if it isn't subscribed to that one. */
  positionIn(shard: number): number | undefined
  /** Called when there may be new lines. */
  wake(): void
  /** Called if the log is no longer the one it has read: it must end. */
  lose(): void
  /** Called at intervals, before a `wake`: it must send something then, even without new lines. */
  keepAlive(): void
}

export type TailBuffersOptions = {
  shards: number
  readHeads: () => Promise<Positions>
  read: TailBufferOptions['read']
  identify: TailBufferOptions['identify']
  /** Milliseconds between two polls for events of other processes, while there are subscribers. */
  pollIntervalMs: number
  logger: Logger
}

/**
 * The tail buffers of all shards, from which subscribers are served while they keep up with the
 * log. Nothing is read while there are no subscribers.
 */
export class TailBuffers {
  readonly heads: SingleFlight<Positions>
  readonly #tails: TailBuffer[]
  readonly #subscribers = new Set<Subscriber>()
  /** Subscribers that are still to be woken. */
  readonly #due = new Set<Subscriber>()
  /** Null while there are no subscribers. */
  #poll: Poll | null = null
  #waking = false

  constructor(private readonly options: TailBuffersOptions) {
    const { shards, read, identify, readHeads } = options
    this.heads = new SingleFlight(readHeads)
    const onGrown = (shard: number) => this.#wake(shard)
    const onLost = (shard: number) => this.#lose(shard)
    this.#tails = Array.from(
      { length: shards },
      (_, shard) => new TailBuffer({ shard, shards, read, identify, onGrown, onLost }),
    )
  }

  /** Wakes the subscriber from now on, until it leaves. */
  subscribe(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber)
    this.#poll ??= new Poll(() => this.#advanceAll(), this.options.pollIntervalMs).start(0)
  }

  leave(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber)
    this.#due.delete(subscriber)
    if (this.#subscribers.size > 0) return
    void this.#poll?.stop()
    this.#poll = null
    for (const tail of this.#tails) tail.clear()
  }

  /** See TailBuffer. */
  lineAfter(shard: number, position: number): Line | 'evicted' | 'none' {
    return this.#tails[shard]!.lineAfter(position)
  }

  /** The last position of a shard that is known to be in the log; -1 if none is known. */
  headOf(shard: number): number {
    return this.#tails[shard]!.head
  }

  /** Called when this process has appended to a shard, the last event at `position`. */
  noticeAppend(shard: number, position: number): void {
    void this.#advance(shard, position)
  }

  /** Wakes every subscriber to send a keep-alive, SLICE of them at a time. */
  keepAlive(): void {
    for (const subscriber of this.#subscribers) {
      subscriber.keepAlive()
      this.#due.add(subscriber)
    }
    this.#wakeDue()
  }

  async #advanceAll(): Promise<void> {
    try {
      // Taken before the heads are read, because subscribers move on meanwhile.
      const before = [...this.#subscribers].map((subscriber) => ({
        subscriber,
        positions: this.#tails.map((_, shard) => subscriber.positionIn(shard) ?? -1),
      }))
      const heads = await this.heads.read()
      for (const { subscriber, positions } of before) {
        // It is ahead of a later head: its lines came from another log.
        if (heads.some((head, shard) => positions[shard]! > head)) subscriber.lose()
      }
      await Promise.all(heads.map((head, shard) => this.#advance(shard, head)))
    } catch (error) {
      this.#note(error)
    }
  }

  async #advance(shard: number, head: number): Promise<void> {
    if (this.#subscribers.size === 0) return
    try {
      await this.#tails[shard]!.advance(head)
    } catch (error) {
      // The next poll tries again.
      this.#note(error)
    }
  }

  /** Ends all subscribers of a shard: their lines came from another log. */
  #lose(shard: number): void {
    const message = 'subscriptions: the log has lost events that were sent: was a backup restored?'
    this.options.logger.error({ shard }, message)
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.shard === null || subscriber.shard === shard) subscriber.lose()
    }
  }

  #note(error: unknown): void {
    if (isUnavailable(error)) return
    this.options.logger.error({ err: error }, 'subscriptions: failed to read the log')
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
