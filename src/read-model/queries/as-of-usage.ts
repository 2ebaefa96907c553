import type { Positions } from '../../events/positions.ts'
import { readEvent, readPositionAt } from '../../log/read.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { startOfQuarter } from '../projections/usage.ts'
import { readPast } from './as-of-counters.ts'
import type { PartialQuarter } from './as-of-usage-rows.ts'
import type { Scope } from './scope.ts'

/** The quarter of each shard's last event, and what was counted before it and until the event. */
export async function readPartialQuarters(
  transaction: Transaction,
  positions: Positions,
  scope: Scope,
): Promise<PartialQuarter[]> {
  const quarters: PartialQuarter[] = []
  for (const [shard, position] of positions.entries()) {
    const event = position < 0 ? null : await readEvent(transaction, shard, position)
    if (event === null) continue
    const quarter = startOfQuarter(event.recordedAt)
    const before = (await readPositionAt(transaction, shard, quarter)) - 1
    const at = (end: number) =>
      readPast(
        transaction,
        positions.map((_, i) => (i === shard ? end : -1)),
        scope,
      )
    quarters.push({ shard, quarter, before: await at(before), until: await at(position) })
  }
  return quarters
}
