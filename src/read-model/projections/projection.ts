import type { Transaction } from '../../platform/postgres/pool.ts'
import type { Entry } from './entry.ts'

/** Where a fold is written: the rows of one shard in one generation, and the range of events. */
export type WriteTarget = {
  shard: number
  generation: number
  /** The checkpoints before and after: the fold covers events after `after` through `position`. */
  after: number
  position: number
}

/**
 * A batch of events folded in memory. Its size depends on the number of keys, never on the number
 * of events. It holds only sums and maxima, so folds of different shards can be written in any
 * order.
 */
export interface Fold {
  /** Approximate number of rows that a write would touch now. */
  readonly size: number
  /** Folds an event. Any event that decodes can be folded. */
  add(entry: Entry): void
  /**
   * Adds the fold to the rows of `target`, one row per distinct key. Yields queries that have not
   * started, each for about 10,000 rows, or null if a larger query needs another step to prepare.
   */
  write(transaction: Transaction, target: WriteTarget): Iterable<Promise<unknown> | null>
  /** Writes what depends on rows of the database. Called last, with the checkpoints moved. */
  writeLast?(transaction: Transaction, target: WriteTarget): Promise<void>
}

/**
 * A table of a projection: `key` identifies a row within its generation, `values` are its other
 * columns.
 */
export type Table = {
  name: string
  key: readonly string[]
  values: readonly string[]
  /** Fill factor of a generation's partition, in percent; null if generations share the table. */
  fillfactor: number | null
}

/** One or more tables derived from the log. */
export type Projection = {
  name: string
  /** Raised with every change to the fold: generations of another version are rebuilt. */
  version: number
  tables: readonly Table[]
  createFold(): Fold
}
