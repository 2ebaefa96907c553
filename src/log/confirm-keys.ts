import { UnknownEvent } from '../events/event.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { findSameKey } from './find-keys.ts'
import { settleReplayed } from './first-attempt.ts'
import type { Lookups, PendingFlush } from './queue.ts'

/**
 * Flushes whose idempotency keys are compared with those of events that have left the database.
 * Other flushes don't wait for that: an archive may take long to answer.
 */
export class KeyConfirmations {
  readonly #pending = new Set<Promise<void>>()

  constructor(
    private readonly place: { sql: Sql; shard: number; catalog: Lookups },
    /** Queues a flush again; returns false if the queue is full. */
    private readonly requeue: (flush: PendingFlush) => boolean,
  ) {}

  get count(): number {
    return this.#pending.size
  }

  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }

  /** Answers a flush by the event with its key, or queues it again if none of them has it. */
  add(flush: PendingFlush, positions: readonly number[]): void {
    const confirming = this.#confirm(flush, positions)
      .catch((error: unknown) => {
        if (!isUnavailable(error) && !(error instanceof UnknownEvent)) flush.fail(error)
        else flush.settle({ kind: 'unavailable', reason: 'archive' })
      })
      .finally(() => this.#pending.delete(confirming))
    this.#pending.add(confirming)
  }

  async #confirm(flush: PendingFlush, positions: readonly number[]): Promise<void> {
    const { sql, shard } = this.place
    const key = { source: flush.source, idempotencyKey: flush.idempotencyKey! }
    const found = await findSameKey(sql, shard, key, positions)
    if (found !== null) return settleReplayed(this.place, new Map([[flush, found]]))
    flush.differing.push(...positions)
    if (!this.requeue(flush)) flush.settle({ kind: 'unavailable', reason: 'queue full' })
  }
}
