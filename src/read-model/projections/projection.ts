import type { Transaction } from '../../platform/postgres/pool.ts'
import type { Entry } from './entry.ts'

/** Where a fold is written: the rows of one shard in one generation, and what was folded. */
export type WriteTarget = {
  shard: number
  generation: number
  /** The checkpoint before, and the one after: all events behind `from` up to `position`. */
  from: number
  position: number
}

/**
 * What one pass has folded, in memory; its size depends on the number of keys, never on that of the
 * events. Sums and maxima only, so that folds can be written in any order between shards.
 */
export interface Fold {
  /** About how many rows it would write now. */
  readonly size: number
  /** Folds an event; any event that decodes can be folded. */
  add(entry: Entry): void
  /**
   * Adds the fold to the rows of `target`, one row a distinct key: statements that haven't begun,
   * for some ten thousand rows each, and null where one of more rows needs another such step.
   */
  write(transaction: Transaction, target: WriteTarget): Iterable<Promise<unknown> | null>
}

/** A table of a projection: what names a row in its generation, and what else the row says. */
export type Table = {
  name: string
  key: readonly string[]
  values: readonly string[]
  /** Percent, of the partition a generation has; null where generations share the table. */
  fillfactor: number | null
}

/** A table (or a few) derived from the log. */
export type Projection = {
  name: string
  /** Raised with every change of what it folds: generations of another version are rebuilt. */
  version: number
  tables: readonly Table[]
  createFold(): Fold
}
