import type { LineEvent } from '../../events/event-line.ts'
import { shardOfKey } from '../../events/shard-of-key.ts'
import { SERVICE_EVENT_TYPES } from '../../events/statement.ts'

/** Where an event stands in a log. */
export type Place = { shard: number; position: number }

/**
 * Deals events to so many shards: gives each, in the order of time, its place in the new log.
 *
 * - A statement of the service is about the log that it stands in, and has no place in another.
 * - A change of the catalog stands on shard 0.
 * - An event with an idempotency key stands where a retry of it goes.
 * - The others go round, the first of them to shard 0.
 *
 * So the new log follows from the events alone, and everybody who has them can make it.
 */
export class ShardPlacement {
  /** Events of each shard so far. */
  readonly sizes: number[]
  skipped = 0
  #turn = 0

  constructor(readonly shards: number) {
    this.sizes = new Array<number>(shards).fill(0)
  }

  /** The place of the next event; null where it has none. */
  place(event: LineEvent): Place | null {
    if ((SERVICE_EVENT_TYPES as readonly string[]).includes(event.type)) {
      this.skipped++
      return null
    }
    const shard = this.#shardOf(event)
    return { shard, position: this.sizes[shard]!++ }
  }

  #shardOf({ type, source, idempotencyKey }: LineEvent): number {
    if (type === 'CatalogChanged') return 0
    if (idempotencyKey !== null) return shardOfKey(source, idempotencyKey, this.shards)
    return this.#turn++ % this.shards
  }
}
