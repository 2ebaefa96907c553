import type { Logger } from 'pino'

/** Milliseconds between two lines about the same shard. */
const QUIET_MS = 30_000

/** Says in the service's log why the database doesn't take flushes: at once, and then now and then. */
export class Refusals {
  readonly #shards = new Map<number, { since: number; saidAt: number; batches: number }>()

  constructor(private readonly logger: Logger) {}

  /** A batch of a shard was refused, for this reason. */
  note(shard: number, error: unknown): void {
    const now = performance.now()
    const refusal = this.#shards.get(shard) ?? { since: now, saidAt: -QUIET_MS, batches: 0 }
    this.#shards.set(shard, refusal)
    refusal.batches++
    if (now - refusal.saidAt < QUIET_MS) return
    refusal.saidAt = now
    const { code, message } = error as { code?: string; message?: string }
    const { batches } = refusal
    this.logger.error({ shard, code, reason: message, batches }, 'log: flushes are refused')
  }

  /** The shard takes flushes again. */
  end(shard: number): void {
    const refusal = this.#shards.get(shard)
    this.#shards.delete(shard)
    if (refusal === undefined) return
    const seconds = Math.round((performance.now() - refusal.since) / 1_000)
    this.logger.warn({ shard, seconds }, 'log: flushes are taken again')
  }
}
