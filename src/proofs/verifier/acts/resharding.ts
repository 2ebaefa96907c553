import { type Location, parseLocation } from '../../../events/positions.ts'
import type { ShardsChange } from '../../../events/statement.ts'

/** An adoption in shard 0, and the flushes that it covers. */
export type Coverage = { position: number; heads: readonly number[]; until: string }

/** A flush, and when it was recorded. */
export type Flush = Location & { recordedAt: string }

/** The event that a reversal names. It is unlisted if the log does not state where it is now. */
export type Named = Location | 'unlisted' | 'missing'

/**
 * Where the log was resharded. Acts from before that name positions of another log, so the
 * `ShardsChanged` event of shard 0 lists where the events are that reversals name, and an adoption
 * covers what was recorded until its time.
 */
export class Resharding {
  #position = -1
  /** Null in version 1 of the event, which had no list. */
  #reversed: ReadonlyMap<number, string> | null = null

  note({ reversals = [] }: ShardsChange, position: number, version: number): void {
    this.#position = position
    this.#reversed = version === 1 ? null : new Map(reversals)
  }

  /** True if an act at this position of shard 0 was made in the log from before. */
  isBefore(position: number): boolean {
    return position < this.#position
  }

  /** Returns where the event is that the reversal at a position of shard 0 names. */
  find(position: number, named: string): Named {
    if (!this.isBefore(position)) return parseLocation(named)
    if (this.#reversed === null) return 'unlisted'
    const place = this.#reversed.get(position)
    return place === undefined ? 'missing' : parseLocation(place)
  }

  /** True if an adoption covers a flush. */
  covers({ position, heads, until }: Coverage, flush: Flush): boolean {
    if (this.isBefore(position)) return flush.recordedAt <= until
    return flush.position <= (heads[flush.shard] ?? -1)
  }
}
