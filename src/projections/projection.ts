import type { Transaction } from '../db/pool.ts'
import type { Event } from '../events/event.ts'

/** Where a fold is written: the rows of one shard in one generation. */
export type WriteTarget = { shard: number; generation: number }

/**
 * What one pass has folded, in memory; its size depends on the number of keys, never on that of the
 * events. Sums and maxima only, so that folds can be written in any order between shards.
 */
export interface Fold {
  /** Folds an event; any event that decodes can be folded. */
  add(event: Event, recordedAt: string): void
  /** Adds the fold to the rows of `target`: one row a distinct key, in one statement a table. */
  write(transaction: Transaction, target: WriteTarget): Promise<unknown>[]
}

/** A table (or a few) derived from the log. */
export type Projection = {
  name: string
  createFold(): Fold
}
