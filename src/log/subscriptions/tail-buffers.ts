import type { Logger } from 'pino'
import type { Positions } from '../../events/positions.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import { Heads } from '../heads.ts'
import type { Line } from './event-line.ts'
import { ShardTail, type TailOptions } from './tail-buffer.ts'

/**
 * Followers that are woken in one turn of the event loop. Each makes and sends what is new, some
 * 30 µs: requests are served between two slices (with 5,000 followers within 4 to 56 ms), where all
 * at once held them up for 71 to 96 ms.
 */
const SLICE = 100

/** Somebody who waits for what a shard, or any (null), will bring. */
export type Follower = {
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

export type TailsOptions = {
  shards: number
  readHeads: () => Promise<Positions>
  read: TailOptions['read']
  identify: TailOptions['identify']
  /** Milliseconds between two looks, while somebody follows, for what other processes append. */
  pollIntervalMs: number
  logger: Logger
}

/**
 * The tails of all shards: what followers of the log read while they keep up with it. Nothing is
 * read while nobody follows.
 */
export class Tails {
  readonly heads: Heads
  readonly #tails: ShardTail[]
  readonly #followers = new Set<Follower>()
  /** Those whose turn to be woken is yet to come. */
  readonly #due = new Set<Follower>()
  #looking: ReturnType<typeof setTimeout> | null = null
  #waking = false

  constructor(private readonly options: TailsOptions) {
    const { shards, read, identify, readHeads } = options
    this.heads = new Heads(readHeads)
    const onGrown = (shard: number) => this.#wake(shard)
    const onLost = (shard: number) => this.#lose(shard)
    this.#tails = Array.from(
      { length: shards },
      (_, shard) => new ShardTail({ shard, shards, read, identify, onGrown, onLost }),
    )
  }

  /** Wakes the follower from now on, until it leaves. */
  follow(follower: Follower): void {
    this.#followers.add(follower)
    if (this.#looking === null) this.#lookIn(0)
  }

  leave(follower: Follower): void {
    this.#followers.delete(follower)
    this.#due.delete(follower)
    if (this.#followers.size > 0) return
    if (this.#looking !== null) clearTimeout(this.#looking)
    this.#looking = null
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
    for (const follower of this.#followers) {
      follower.keepAlive()
      this.#due.add(follower)
    }
    this.#wakeDue()
  }

  #lookIn(ms: number): void {
    const timer = setTimeout(async () => {
      try {
        const before = [...this.#followers]
        const heads = await this.heads.read()
        for (const follower of before) loseWhereAhead(follower, heads)
        await Promise.all(heads.map((head, shard) => this.#advance(shard, head)))
      } catch (error) {
        this.#note(error)
      }
      if (this.#looking === timer) this.#lookIn(this.options.pollIntervalMs)
    }, ms)
    this.#looking = timer
  }

  async #advance(shard: number, head: number): Promise<void> {
    if (this.#followers.size === 0) return
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
    for (const follower of [...this.#followers]) {
      if (follower.shard === null || follower.shard === shard) follower.lose()
    }
  }

  #note(error: unknown): void {
    if (!isUnavailable(error)) this.options.logger.error({ err: error }, 'tails: read failed')
  }

  #wake(shard: number): void {
    for (const follower of this.#followers) {
      if (follower.shard === null || follower.shard === shard) this.#due.add(follower)
    }
    this.#wakeDue()
  }

  #wakeDue(): void {
    if (this.#waking) return
    this.#waking = true
    const wakeSlice = () => {
      let woken = 0
      for (const follower of this.#due) {
        if (woken++ === SLICE) break
        this.#due.delete(follower)
        follower.wake()
      }
      this.#waking = this.#due.size > 0
      if (this.#waking) setImmediate(wakeSlice)
    }
    wakeSlice()
  }
}

/** Ends who stands behind the heads, seen after it came: what it has is of another log. */
function loseWhereAhead(follower: Follower, heads: Positions): void {
  if (heads.some((head, shard) => (follower.positionIn(shard) ?? -1) > head)) follower.lose()
}
