import { ACCOUNTS } from '../../events/accounts.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { Positions } from '../../events/positions.ts'
import { readPositionAt } from '../../log/position-at.ts'
import { readEvent } from '../../log/read.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { usageColumns } from '../projections/usage.ts'
import { readAsOf } from './as-of-counters.ts'
import { asOfPartRows, readPartialParts } from './as-of-parts.ts'
import { asOfSource } from './as-of-source.ts'
import { type AsOfEnd, asOfUsageRows, type PartialQuarterHour } from './as-of-usage-rows.ts'
import { findIncomplete, foldBlock } from './incomplete-block.ts'
import { readBoundaries, requireKept, requireKeptAt } from './kept-usage.ts'
import { readMeasures } from './measures.ts'
import type { ReadLarge } from './read-large.ts'
import type { Scope } from './scope.ts'
import { readUsage, type Usage } from './usage.ts'
import type { DividedUsage, Division } from './usage-by.ts'
import { addDetails } from './usage-details.ts'

/**
 * Reads the quarter hour of each shard's last event, and what was counted before it and through the
 * event. Throws UsageNotKept if one is in a day of which quarter hours are no longer kept.
 */
export async function readPartialQuarterHours(
  transaction: Transaction,
  positions: Positions,
  scope: Scope,
): Promise<PartialQuarterHour[]> {
  const ends: { shard: number; quarter: string; before: number; until: number }[] = []
  const boundaries = await readBoundaries(transaction)
  for (const [shard, position] of positions.entries()) {
    const event = position < 0 ? null : await readEvent(transaction, shard, position)
    requireKeptAt(boundaries, shard, event?.recordedAt ?? null)
    if (event === null) continue
    const quarter = startOfQuarterHour(event.recordedAt)
    const before = (await readPositionAt(transaction, shard, quarter)) - 1
    ends.push({ shard, quarter, before, until: position })
  }
  const places = ends.flatMap(({ shard, before, until }) =>
    [before, until].map((position) => ({ shard, position })),
  )
  const incomplete = await findIncomplete(transaction, scope, places)
  const readAt = async (shard: number, position: number): Promise<AsOfEnd> => {
    const own = positions.map((_, i) => (i === shard ? position : -1))
    const asOf = await readAsOf(transaction, own, scope)
    if (!incomplete.some((at) => at.shard === shard && at.position === position))
      return { ...asOf, late: [] }
    const rows = await foldBlock(transaction, scope, { shard, position })
    return { ...asOf, late: usageColumns(ACCOUNTS[scope.kind], rows) }
  }
  const quarters: PartialQuarterHour[] = []
  for (const { shard, quarter, before, until } of ends) {
    quarters.push({
      ...{ shard, quarter },
      before: await readAt(shard, before),
      until: await readAt(shard, until),
    })
  }
  return quarters
}

/** Reads usage as of the time of these quarter hours (see `AsOfQueries.readQuarters`). */
export async function readUsageThen(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
  bounds: readonly string[],
  division: Division | null,
  readLarge: ReadLarge | null,
): Promise<Usage | DividedUsage> {
  requireKept(await readBoundaries(transaction), bounds)
  const usage = asOfUsageRows(transaction, scope, quarters)
  // Shard 0 has the catalog.
  const first = quarters.find(({ shard }) => shard === 0)
  const measures =
    first === undefined ? [] : await readMeasures(transaction, asOfSource(transaction, first.until))
  const whole = await readUsage(transaction, scope, usage, bounds)
  const hasDetails = measures.length > 0 || division !== null
  const partial = hasDetails
    ? await readPartialParts(transaction, scope, quarters, readLarge)
    : null
  const source = {
    ...{ usage, measures },
    parts: () => asOfPartRows(transaction, scope, quarters, partial!),
  }
  return addDetails(transaction, scope, source, bounds, whole, division)
}
