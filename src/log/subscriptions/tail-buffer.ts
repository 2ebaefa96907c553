import type { StoredEvent } from '../../events/event.ts'
import { identityOf, type ReadLimits, type ReadRange } from '../read.ts'
import { type Line, toLine } from './event-line.ts'

/** What the tails of all shards hold at most, but for each one's newest event. */
const MAX_BYTES = 32 * 1024 * 1024
/** Lines that a shard's tail holds at most: a second of full load. */
const MAX_LINES = 8_192
/** One read; there is another at once where it was not all. */
const READ = { rows: 1_000, bytes: 4 * 1024 * 1024 }

export type TailBufferOptions = {
  shard: number
  shards: number
  read: (range: ReadRange, limits: ReadLimits) => Promise<StoredEvent[]>
  /**
   * The identity of the event at a position, as `identityOf` gives it; null where there is none.
   */
  identify: (shard: number, position: number) => Promise<string | null>
  /** Called when there are new lines. */
  onGrown: (shard: number) => void
  /** Called when the log is another than the one whose lines were held. */
  onLost: (shard: number) => void
}

/**
 * The newest lines of one shard, read once for all who follow it. Somebody else tells it when to
 * look (`advance`) and when nobody follows any more (`clear`). Only `advance` changes what it
 * holds, one at a time.
 */
export class ShardTail {
  /** All lines in (#from, #head], in order. */
  #lines: Line[] = []
  #bytes = 0
  #from: number | null = null
  #head: number | null = null
  /** Of the event at the head; null of none, undefined before it is known. */
  #identity: string | null | undefined
  /** Where the shard has been seen to be; what `advance` reads up to. */
  #seen = -1
  /** True where the shard was seen to end before the head. */
  #isDoubted = false
  #advancing: Promise<void> | null = null

  constructor(private readonly options: TailBufferOptions) {}

  /** The last position known to be in the log; -1 where it isn't known yet. */
  get head(): number {
    return this.#head ?? -1
  }

  /**
   * The first line after a position; `older` where that isn't held any more, `none` where there is
   * none yet.
   */
  lineAfter(position: number): Line | 'older' | 'none' {
    if (this.#from === null || position >= this.#head!) return 'none'
    if (position < this.#from) return 'older'
    let low = 0
    for (let high = this.#lines.length; low < high; ) {
      const middle = (low + high) >> 1
      if (this.#lines[middle]!.position > position) high = middle
      else low = middle + 1
    }
    return this.#lines[low] ?? 'none'
  }

  /**
   * Reads on to `head`, a position that is committed. The first one after `clear` is where it
   * begins. Rejects as the read does; the next call goes on where it stopped.
   *
   * A log only grows, unless its database has lost commits or another server has taken its place.
   * So each time the event at the head has to be there still: else all is forgotten.
   */
  async advance(head: number): Promise<void> {
    // Seen before the last append of this process, or lost.
    if (head < this.head) this.#isDoubted = true
    this.#seen = Math.max(this.#seen, head)
    this.#advancing ??= this.#advance().finally(() => {
      this.#advancing = null
    })
    await this.#advancing
  }

  /** Forgets all: nobody follows. */
  clear(): void {
    this.#lines = []
    this.#bytes = 0
    this.#from = null
    this.#head = null
    this.#identity = undefined
    this.#seen = -1
    this.#isDoubted = false
  }

  async #advance(): Promise<void> {
    const { shard, read, identify, onGrown, onLost } = this.options
    if (this.#head === null) await this.#begin()
    while (this.#head !== null && (this.#head < this.#seen || this.#isDoubted)) {
      const at = this.#head
      this.#isDoubted = false
      const [identity, events] = await Promise.all([
        identify(shard, at),
        read({ shard, after: at }, READ),
      ])
      // Cleared meanwhile: nobody follows any more.
      if (this.#head !== at) return
      this.#identity ??= identity
      if (identity !== this.#identity) {
        this.clear()
        return onLost(shard)
      }
      // Not there: nothing is passed over that might still come.
      if (events.length === 0) return
      for (const event of events) this.#add(toLine(event))
      this.#head = events.at(-1)!.position
      this.#identity = identityOf(events.at(-1)!)
      this.#shrink()
      onGrown(shard)
    }
  }

  async #begin(): Promise<void> {
    const { shard, identify, onGrown } = this.options
    const at = this.#seen
    // At once, as all shards of a look do: followers get the events of several in their order.
    this.#from = this.#head = at
    // Whoever starts at an older position can read up to here.
    onGrown(shard)
    const identity = await identify(shard, at)
    if (this.#head === at) this.#identity = identity
  }

  #add(line: Line): void {
    this.#lines.push(line)
    this.#bytes += line.json.byteLength
  }

  /** Drops the oldest above the bounds; a quarter more, so that it is seldom done. */
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
    this.#from = this.#lines[dropped - 1]!.position
    this.#lines.splice(0, dropped)
  }
}
