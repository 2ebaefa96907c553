import type { Sql } from '../sql.ts'

/**
 * Citus keeps the result of a part of a query in a file of the session that made it. If that
 * session ends before the query has read the file, Citus reports this by a warning, and goes on as
 * if the result were empty.
 */
const LOST = 'Query could not find the intermediate result file'

/** The warnings of each pool. */
const WARNINGS = new WeakMap<Sql, LostResults>()

/** Counts the results that were lost to statements of one pool. */
export class LostResults {
  count = 0

  /** Must be called for each notice of the server. */
  note({ message }: { message?: string }): void {
    if (message?.startsWith(LOST)) this.count++
  }

  watch(pool: Sql): Sql {
    WARNINGS.set(pool, this)
    return pool
  }
}

/** Returns how many results have been lost to statements of a pool. */
export const countLostResults = (pool: Sql): number => WARNINGS.get(pool)?.count ?? 0
