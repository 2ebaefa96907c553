import type { PostedFlush } from '../events/flush.ts'
import { shardOfKey } from '../events/shard-of-key.ts'
import { type AppenderOptions, ShardAppender } from './append.ts'
import type { AppendOutcome } from './queue.ts'

/**
 * Flushes at one shard with which the next are put to another. Fewer are not worth a commit each:
 * with 64 shards on one server, one flush to a shard at a time took in a third of this.
 */
const FULL = 16

/** Shards whose queues one flush looks at: more would be felt where there are a thousand. */
const POLLS = 16

/** The write side of the log: one appender a shard. */
export class Log {
  readonly #appenders: ShardAppender[]
  #stopping = false
  /** The shard of the last flush that had no idempotency key. */
  #last: number

  constructor(options: Omit<AppenderOptions, 'shard'> & { shards: number }) {
    this.#appenders = Array.from(
      { length: options.shards },
      (_, shard) => new ShardAppender({ ...options, shard }),
    )
    this.#last = options.shards - 1
  }

  /** Flushes accepted and not settled yet, on all shards. */
  get queueLength(): number {
    return this.#appenders.reduce((sum, appender) => sum + appender.queueLength, 0)
  }

  /** Appends a flush; it is durable when the outcome says `appended`. */
  append(
    posted: PostedFlush,
    source: string,
    idempotencyKey: string | null,
  ): Promise<AppendOutcome> {
    if (this.#stopping) return Promise.resolve({ kind: 'unavailable', reason: 'stopping' })
    const appender = this.#appenders[this.#shardOf(source, idempotencyKey)]!
    return appender.append(posted, source, idempotencyKey)
  }

  /** True where the database takes flushes, at least of one shard. */
  async canTake(): Promise<boolean> {
    const refused = this.#appenders.filter(({ isRefused }) => isRefused)
    return refused.length < this.#appenders.length || refused[0]!.canTake()
  }

  /** Of each shard whether the database takes its flushes. */
  canTakeEach(): Promise<boolean[]> {
    return Promise.all(this.#appenders.map((appender) => appender.canTake()))
  }

  /** Takes no more flushes, and waits for those it has taken. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#appenders.map((appender) => appender.drain()))
  }

  /** By the idempotency key, so that a retry meets its first try. */
  #shardOf(source: string, idempotencyKey: string | null): number {
    if (this.#appenders.length === 1) return 0
    if (idempotencyKey !== null) {
      return shardOfKey(source, idempotencyKey, this.#appenders.length)
    }
    return this.#nextShard()
  }

  /**
   * The shard where the flush before waits, so that both share a commit. Where it doesn't any more,
   * or enough do, the next one that is not full, nor away: so all shards get their part, also of a
   * lone client.
   */
  #nextShard(): number {
    const { length } = this.#appenders
    const waiting = this.#lengthOf(this.#last)
    if (waiting > 0 && waiting < FULL) return this.#last
    let next = (this.#last + 1) % length
    for (let i = 2; i <= Math.min(length, POLLS) && this.#lengthOf(next) >= FULL; i++) {
      const shard = (this.#last + i) % length
      if (this.#lengthOf(shard) < this.#lengthOf(next)) next = shard
    }
    this.#last = next
    return next
  }

  /** Of one that is away: more than of any that is full. */
  #lengthOf(shard: number): number {
    const { isUnavailable, queueLength } = this.#appenders[shard]!
    return isUnavailable ? Number.POSITIVE_INFINITY : queueLength
  }
}
