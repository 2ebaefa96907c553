import type { StoredEvent } from '../events/event.ts'
import type { ReadLimits } from '../log/filter.ts'
import { identityOf, type ReadRange } from '../log/read.ts'
import { type Line, toLine } from './event-line.ts'

/** Bytes that the buffers of all shards hold at most, not counting each one's newest event. */
const MAX_BYTES = 32 * 1024 * 1024
/** Lines that a shard's buffer holds at most: a second of full load. */
const MAX_LINES = 8_192
/** Limits of one read; another follows at once if that was not everything. */
const READ = { rows: 1_000, bytes: 4 * 1024 * 1024 }

export type TailBufferOptions = {
  shard: number
  shards: number
  read: (range: ReadRange, limits: ReadLimits) => Promise<StoredEvent[]>
  /** Returns the identity (see `identityOf`) of the event at a position; null if there is none. */
  identify: (shard: number, position: number) => Promise<string | null>
  /** Called when there are new lines. */
  onGrown: (shard: number) => void
  /** Called if the log is no longer the one that the lines came from. */
  onLost: (shard: number) => void
}

/**
 * The newest lines of one shard, read once for all its subscribers. Its owner calls `advance` when
 * there may be new events, and `clear` when the last subscriber has left. Apart from `clear`, only
 * `advance` changes the lines, one call at a time.
 */
export class TailBuffer {
  /** All lines in (#after, #head], in order. */
  #lines: Line[] = []
  #bytes = 0
  #after: number | null = null
  #head: number | null = null
  /** Identity of the event at the head; null if there is none, undefined before it is known. */
  #identity: string | null | undefined
  /** The highest head seen; `advance` reads through it. */
  #seen = -1
  /** True if the shard was seen to end before the head. */
  #isDoubted = false
  #advancing: Promise<void> | null = null
  /** Raised by `clear`: a read that began before it must add nothing. */
  #epoch = 0

  constructor(private readonly options: TailBufferOptions) {}

  /** The last position known to be in the log; -1 before it is known. */
  get head(): number {
    return this.#head ?? -1
  }

  /**
   * Returns the first line after a position; `evicted` if the buffer no longer has it, `none` if
   * there is none yet.
   */
  lineAfter(position: number): Line | 'evicted' | 'none' {
    if (this.#after === null || position >= this.#head!) return 'none'
    if (position < this.#after) return 'evicted'
    let low = 0
    for (let high = this.#lines.length; low < high; ) {
      const middle = (low + high) >> 1
      if (this.#lines[middle]!.position > position) high = middle
      else low = middle + 1
    }
    return this.#lines[low] ?? 'none'
  }

  /**
   * Reads through `head`, a committed position. After `clear`, the buffer begins at the first one.
   * Rejects if a read does; the next call continues where it stopped.
   *
   * A log only grows, unless its database has lost commits or another server has taken its place.
   * So the event at the buffer's head must still be there each time; otherwise all is dropped.
   */
  async advance(head: number): Promise<void> {
    // This head was read before the last append of this process, or events were lost.
    if (head < this.head) this.#isDoubted = true
    this.#seen = Math.max(this.#seen, head)
    if (this.#advancing === null) {
      const advancing = this.#advance().finally(() => {
        if (this.#advancing === advancing) this.#advancing = null
      })
      this.#advancing = advancing
    }
    await this.#advancing
  }

  /** Drops everything: there are no subscribers. */
  clear(): void {
    this.#lines = []
    this.#bytes = 0
    this.#after = null
    this.#head = null
    this.#identity = undefined
    this.#seen = -1
    this.#isDoubted = false
    // The next `advance` begins at once, with those of the other shards.
    this.#advancing = null
    this.#epoch++
  }

  async #advance(): Promise<void> {
    const { shard, read, identify, onGrown, onLost } = this.options
    const epoch = this.#epoch
    if (this.#head === null) await this.#begin(epoch)
    while (
      epoch === this.#epoch &&
      this.#head !== null &&
      (this.#head < this.#seen || this.#isDoubted)
    ) {
      const at = this.#head
      this.#isDoubted = false
      const [identity, events] = await Promise.all([
        identify(shard, at),
        read({ shard, after: at }, READ),
      ])
      // Cleared during the read: the last subscriber has left.
      if (epoch !== this.#epoch) return
      this.#identity ??= identity
      if (identity !== this.#identity) {
        this.clear()
        return onLost(shard)
      }
      // Not visible yet: an event that may still appear must not be skipped.
      if (events.length === 0) return
      for (const event of events) this.#add(toLine(event))
      this.#head = events.at(-1)!.position
      this.#identity = identityOf(events.at(-1)!)
      this.#shrink()
      onGrown(shard)
    }
  }

  async #begin(epoch: number): Promise<void> {
    const { shard, identify, onGrown } = this.options
    const at = this.#seen
    // At once, like all shards of a poll: so subscribers get the events of several in order.
    this.#after = this.#head = at
    // Subscribers that start at an older position can read through here.
    onGrown(shard)
    const identity = await identify(shard, at)
    if (epoch === this.#epoch) this.#identity = identity
  }

  #add(line: Line): void {
    this.#lines.push(line)
    this.#bytes += line.json.byteLength
  }

  /** Drops the oldest lines above the bounds, and a quarter more, so that it is rarely done. */
  #shrink(): void {
    const maxBytes = MAX_BYTES / this.options.shards
    if (this.#lines.length <= MAX_LINES && this.#bytes <= maxBytes) return
    let dropped = 0
    let left = this.#lines.length
    while (left > 1 && (left > MAX_LINES * 0.75 || this.#bytes > maxBytes * 0.75)) {
      this.#bytes -= this.#lines[dropped]!.json.byteLength
      dropped++
      left--
    }
    if (dropped === 0) return
    this.#after = this.#lines[dropped - 1]!.position
    this.#lines.splice(0, dropped)
  }
}
