import type { Transaction } from '../../platform/postgres/pool.ts'
import { toArray, toTextArray } from './array.ts'
import { NO_QUARTER } from './backdated.ts'
import type { Entry } from './entry.ts'
import type { WriteTarget } from './projection.ts'
import type { Totals } from './totals.ts'

/** What token keys used, and the quarter hour in which quota periods count it; null if in none. */
type Used = { quotaQuarter: string | null; totals: Totals }

/**
 * Returns the quarter hour in which quota periods count what usage counts in `quarter`, or null if
 * they do not count it: what a reset takes away does not reduce what was used.
 */
export function quotaQuarterOf(quarter: string, act: Entry['act']): string | null {
  if (quarter !== NO_QUARTER) return quarter
  return act === null || act.type === 'ShardsChanged' || act.type === 'QuotaReset'
    ? null
    : act.quarter
}

/**
 * Adds what was used to the rows of periods that have begun before it, if the shard has such rows.
 * The checkpoint is locked, so none are made meanwhile.
 */
export async function addToPeriods(
  transaction: Transaction,
  { shard, generation, after, position }: WriteTarget,
  used: readonly Used[],
): Promise<void> {
  const moved = await transaction`
    update checkpoints c
    set periods_position = ${position}
    where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${generation}
      and c.periods_position = ${after}`
  if (moved.count === 0) return
  for (const { quotaQuarter, totals } of used) {
    if (quotaQuarter === null) continue
    for (const slice of totals.slices()) {
      const rows = slice.filter(({ values }) => Number(values[2]) !== 0)
      await transaction`
        update key_period_usage p
        set quota_used = p.quota_used + f.quota_used
        from unnest(
          ${toTextArray(rows, ({ account }) => account as string)}::text[],
          ${toArray(rows, ({ values }) => values[2]!)}::numeric[]
        ) as f(token_hash, quota_used)
        where p.shard = ${shard} and p.generation = ${generation} and p.token_hash = f.token_hash
          and p.start <= ${quotaQuarter}::timestamptz`
    }
  }
}
