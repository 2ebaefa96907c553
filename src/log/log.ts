import { hash } from 'node:crypto'
import type { PostedFlush } from '../events/flush.ts'
import { type AppenderOptions, ShardAppender } from './append.ts'
import type { AppendOutcome } from './queue.ts'

/** The write side of the log: one appender a shard. */
export class Log {
  readonly #appenders: ShardAppender[]
  #stopping = false

  constructor(options: Omit<AppenderOptions, 'shard'> & { shards: number }) {
    this.#appenders = Array.from(
      { length: options.shards },
      (_, shard) => new ShardAppender({ ...options, shard }),
    )
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

  /** Takes no more flushes, and waits for those it has taken. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#appenders.map((appender) => appender.drain()))
  }

  /**
   * By the idempotency key, so that a retry meets its first try; else where the queue is shortest.
   */
  #shardOf(source: string, idempotencyKey: string | null): number {
    if (this.#appenders.length === 1) return 0
    if (idempotencyKey !== null) {
      const digest = hash('sha256', `${source}\n${idempotencyKey}`, 'hex')
      return Number.parseInt(digest.slice(0, 12), 16) % this.#appenders.length
    }
    let shortest = 0
    this.#appenders.forEach(({ queueLength }, shard) => {
      if (queueLength < this.#appenders[shortest]!.queueLength) shortest = shard
    })
    return shortest
  }
}
