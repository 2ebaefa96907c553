import type { PostedFlush } from '../events/flush.ts'
import { shardOfKey } from '../events/shard-of-key.ts'
import { ShardAppender } from './append.ts'
import type { AppenderOptions } from './appender-options.ts'
import type { AppendOutcome } from './queue.ts'

/**
 * Queue length of a shard from which the next flush goes to another shard. Fewer flushes are not
 * worth a commit: with 64 shards on one server, one flush per shard at a time had a third of the
 * throughput.
 */
const FULL = 16

/** Queues that one flush compares: comparing more would be noticeable with a thousand shards. */
const MAX_COMPARED = 16

/** The write side of the log: one appender per shard. */
export class Log {
  readonly #appenders: ShardAppender[]
  #stopping = false
  /** The shard of the last flush without an idempotency key. */
  #last: number

  constructor(options: Omit<AppenderOptions, 'shard'> & { shards: number }) {
    this.#appenders = Array.from(
      { length: options.shards },
      (_, shard) => new ShardAppender({ ...options, shard }),
    )
    this.#last = options.shards - 1
  }

  /** Flushes accepted but not settled yet, on all shards. */
  get queueLength(): number {
    return this.#appenders.reduce((sum, appender) => sum + appender.queueLength, 0)
  }

  /** Appends a flush. It is durable if the outcome is `appended`. */
  append(
    posted: PostedFlush,
    source: string,
    idempotencyKey: string | null,
  ): Promise<AppendOutcome> {
    if (this.#stopping) return Promise.resolve({ kind: 'unavailable', reason: 'stopping' })
    const appender = this.#appenders[this.#shardOf(source, idempotencyKey)]!
    return appender.append(posted, source, idempotencyKey)
  }

  /** True if the database accepts flushes for at least one shard. */
  async canTake(): Promise<boolean> {
    const refused = this.#appenders.filter(({ isRefused }) => isRefused)
    return refused.length < this.#appenders.length || refused[0]!.canTake()
  }

  /** Returns for each shard whether the database accepts its flushes. */
  canTakeEach(): Promise<boolean[]> {
    return Promise.all(this.#appenders.map((appender) => appender.canTake()))
  }

  /** Accepts no more flushes, and waits until all accepted ones are settled. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#appenders.map((appender) => appender.drain()))
  }

  /** Chooses by the idempotency key, if any, so that a retry meets its first attempt. */
  #shardOf(source: string, idempotencyKey: string | null): number {
    if (this.#appenders.length === 1) return 0
    if (idempotencyKey !== null) {
      return shardOfKey(source, idempotencyKey, this.#appenders.length)
    }
    return this.#nextShard()
  }

  /**
   * Returns the shard where the previous flush waits, so that both share a commit. If nothing waits
   * there, or FULL flushes or more do, returns the next shard that is neither full nor unavailable,
   * or the one with the shortest queue if none of those compared is. So even a single client's
   * flushes are spread over all shards.
   */
  #nextShard(): number {
    const { length } = this.#appenders
    const waiting = this.#lengthOf(this.#last)
    if (waiting > 0 && waiting < FULL) return this.#last
    let next = (this.#last + 1) % length
    for (let i = 2; i <= Math.min(length, MAX_COMPARED) && this.#lengthOf(next) >= FULL; i++) {
      const shard = (this.#last + i) % length
      if (this.#lengthOf(shard) < this.#lengthOf(next)) next = shard
    }
    this.#last = next
    return next
  }

  /** Queue length of a shard; Infinity while it is unavailable: it sorts after full ones. */
  #lengthOf(shard: number): number {
    const { isUnavailable, queueLength } = this.#appenders[shard]!
    return isUnavailable ? Number.POSITIVE_INFINITY : queueLength
  }
}
