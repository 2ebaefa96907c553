import { startOfQuarterHour } from '../../events/instant.ts'
import type { Positions } from '../../events/positions.ts'
import { readEvent, readPositionAt } from '../../log/read.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { readAsOf } from './as-of-counters.ts'
import type { PartialQuarterHour } from './as-of-usage-rows.ts'
import type { Scope } from './scope.ts'

/**
 * Reads the quarter hour of each shard's last event, and what was counted before it and through the
 * event.
 */
export async function readPartialQuarterHours(
  transaction: Transaction,
  positions: Positions,
  scope: Scope,
): Promise<PartialQuarterHour[]> {
  const quarters: PartialQuarterHour[] = []
  for (const [shard, position] of positions.entries()) {
    const event = position < 0 ? null : await readEvent(transaction, shard, position)
    if (event === null) continue
    const quarter = startOfQuarterHour(event.recordedAt)
    const before = (await readPositionAt(transaction, shard, quarter)) - 1
    const at = (through: number) =>
      readAsOf(
        transaction,
        positions.map((_, i) => (i === shard ? through : -1)),
        scope,
      )
    quarters.push({ shard, quarter, before: await at(before), until: await at(position) })
  }
  return quarters
}
