import type { LineEvent } from '../../events/event-line.ts'
import type { Location } from '../../events/positions.ts'
import { shardOfKey } from '../../events/shard-of-key.ts'
import { SERVICE_EVENT_TYPES } from '../../events/statement.ts'
import { isOfShard0 } from '../last-decisions.ts'

/**
 * Assigns events, in the order of their time, to the shards of a new log:
 *
 * - Service events are about their own log, and have no location in another.
 * - Catalog changes, acts and events of rules and tokens go to shard 0.
 * - Events with an idempotency key go where a retry goes.
 * - All others go to the shards in turn, starting with shard 0.
 *
 * The new log follows from the events alone, so everyone who has them can recompute it.
 */
export class ShardPlacement {
  /** The number of events of each shard so far. */
  readonly sizes: number[]
  /** The number of service events so far. */
  skipped = 0
  #turn = 0

  constructor(readonly shards: number) {
    this.sizes = new Array<number>(shards).fill(0)
  }

  /** Returns the location of the next event, or null if it has none. */
  place(event: LineEvent): Location | null {
    if ((SERVICE_EVENT_TYPES as readonly string[]).includes(event.type)) {
      this.skipped++
      return null
    }
    const shard = this.#shardOf(event)
    return { shard, position: this.sizes[shard]!++ }
  }

  #shardOf({ type, source, idempotencyKey }: LineEvent): number {
    if (isOfShard0({ type })) return 0
    if (idempotencyKey !== null) return shardOfKey(source, idempotencyKey, this.shards)
    return this.#turn++ % this.shards
  }
}
