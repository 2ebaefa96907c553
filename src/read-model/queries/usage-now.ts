import type { Positions } from '../../events/positions.ts'
import { inSnapshot, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import type { Projection } from '../projections/projection.ts'
import { readBoundaries, requireKept } from './kept-usage.ts'
import type { Reflected } from './live.ts'
import { liveSource } from './live-source.ts'
import { readMeasures } from './measures.ts'
import { partRows, type Scope, timelyRows, usageRows } from './scope.ts'
import { readUsage, type Usage } from './usage.ts'
import type { DividedUsage, Division } from './usage-by.ts'
import { addDetails } from './usage-details.ts'

/** True once this process has seen usage elsewhere: backdated, or by days or months. */
let isElsewhere = false

/**
 * Reads the current usage, and the positions that `projections` reflect, in one snapshot. While
 * nothing is backdated or kept by days, it doesn't look for such rows. With `division`, items are
 * divided by the values of dimensions. Throws UsageNotKept.
 */
export async function readUsageNow(
  sql: Sql | Transaction,
  scope: Scope,
  bounds: readonly string[],
  projections: readonly Projection[],
  division: Division | null = null,
): Promise<Reflected<Usage | DividedUsage>> {
  return inSnapshot(sql, async (transaction) => {
    const rows = isElsewhere ? usageRows : timelyRows
    const [{ positions, hasBackdated }, boundaries, measures, timely] = await Promise.all([
      readReflectedUsage(transaction, projections),
      readBoundaries(transaction),
      readMeasures(transaction, liveSource(transaction)),
      readUsage(transaction, scope, rows(transaction, scope), bounds),
    ])
    requireKept(boundaries, bounds)
    let whole = timely
    if ((hasBackdated || boundaries.length > 0) && rows !== usageRows) {
      isElsewhere = true
      whole = await readUsage(transaction, scope, usageRows(transaction, scope), bounds)
    }
    const source = {
      usage: usageRows(transaction, scope),
      parts: () => partRows(transaction, scope),
      measures,
    }
    const value = await addDetails(transaction, scope, source, bounds, whole, division)
    return { value, positions }
  })
}

async function readReflectedUsage(
  transaction: Transaction,
  projections: readonly Projection[],
): Promise<{ positions: Positions; hasBackdated: boolean }> {
  const rows = await transaction<{ position: string; backdated: boolean }[]>`
    select min(c.position) as position, bool_or(c.has_backdated) as backdated
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where p.projection in ${transaction(projections.map(({ name }) => name))}
    group by c.shard
    order by c.shard`
  return {
    positions: rows.map(({ position }) => Number(position)),
    hasBackdated: rows.some(({ backdated }) => backdated),
  }
}
