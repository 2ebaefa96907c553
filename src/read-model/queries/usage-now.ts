import type { Positions } from '../../events/positions.ts'
import { inSnapshot, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import type { Projection } from '../projections/projection.ts'
import { GRAINS, type Grain } from '../projections/rolled-up.ts'
import { grainsOf, readBoundaries, requireKept } from './kept-usage.ts'
import type { Reflected } from './live.ts'
import { liveSource } from './live-source.ts'
import { readMeasures } from './measures.ts'
import { partRows, type Scope, timelyRows, usageRows } from './scope.ts'
import { readUsage, type Usage } from './usage.ts'
import type { DividedUsage, Division } from './usage-by.ts'
import { addDetails } from './usage-details.ts'

/**
 * Set once this process has seen usage elsewhere: backdated, or by these units; so others are not
 * looked for.
 */
let elsewhere: readonly Grain[] | null = null

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
    const seen = elsewhere
    const rows =
      seen === null ? timelyRows(transaction, scope) : usageRows(transaction, scope, seen)
    const [{ positions, hasBackdated }, boundaries, measures, found] = await Promise.all([
      readReflectedUsage(transaction, projections),
      readBoundaries(transaction),
      readMeasures(transaction, liveSource(transaction)),
      readUsage(transaction, scope, rows, bounds),
    ])
    requireKept(boundaries, bounds)
    const grains = grainsOf(boundaries)
    const usage = usageRows(transaction, scope, grains)
    let whole = found
    const isNew = seen === null ? hasBackdated : grains.some((grain) => !seen.includes(grain))
    if (isNew || (seen === null && grains.length > 0)) {
      elsewhere = GRAINS.filter((grain) => grains.includes(grain) || elsewhere?.includes(grain))
      whole = await readUsage(transaction, scope, usage, bounds)
    }
    const source = {
      usage,
      parts: () => partRows(transaction, scope, grains),
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
