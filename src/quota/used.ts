import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import { toTextArray } from '../read-model/projections/array.ts'
import { asOfTimelyRows } from '../read-model/queries/as-of-usage-rows.ts'
import { readBoundaries, requireQuarters } from '../read-model/queries/kept-usage.ts'
import type { PeriodReads } from '../read-model/queries/keys.ts'
import type { Listed, Source } from '../read-model/queries/live-source.ts'
import { type Scope, timelyRows } from '../read-model/queries/scope.ts'
import { type Past, selectBackdated, selectResets } from './backdated.ts'
import { type History, readEarlier } from './earlier.ts'
import { firstStartOf, joinStarts, type PeriodKind, type QuotaScope, readKinds } from './kinds.ts'
import { DEFAULT_ZONE } from './periods.ts'
import { countShardsWithTotals, selectTotals } from './totals.ts'

/** The state that is read, and its time. */
export type QuotaState = {
  /** Milliseconds since 1970; null for the time of the database's clock. */
  nowMs: number | null
  /** Null for the current state. */
  past: Past | null
}

/** The current state, by the database's clock. */
export const NOW: QuotaState = { nowMs: null, past: null }

/** What is read of the periods of all keys in a scope. */
type Periods = {
  kinds: readonly PeriodKind[]
  past: Past | null
  /** See `readEarlier`. */
  earlier: ReadonlyMap<string, bigint>
  /** See `countShardsWithTotals`. */
  shardsWithTotals: number
}

/**
 * Finds the current period of each kind of period that a key in the scope has, and returns how to
 * read what was used since it began.
 *
 * If the quota of a key was reset in the period, that is what its counter says, less what was
 * recorded since and counts earlier. Otherwise it is the total that the fold of usage keeps. If
 * there is none yet, and in the past, it is the usage of the quarter hours since, and what acts
 * count in none (see `Act.quarter`). It is never below 0, even if an adjustment took away more than
 * was used in the period. Throws UsageNotKept for a past period that is kept by days.
 */
export async function readPeriods(
  transaction: Transaction,
  source: Source,
  history: History,
  { scope, nowMs, past }: QuotaState & { scope: QuotaScope },
): Promise<PeriodReads> {
  const kinds = await readKinds(transaction, source, scope, nowMs)
  // Current periods begin long after what is kept by days (see MIN_QUARTERS_DAYS).
  if (past !== null) requireQuarters(await readBoundaries(transaction), kinds)
  const [earlier, shardsWithTotals] = await Promise.all([
    readEarlier(transaction, source, history, { scope, kinds, past }),
    past === null ? countShardsWithTotals(transaction) : 0,
  ])
  const periods = { kinds, past, earlier, shardsWithTotals }
  return {
    boundsOf: (period, tz) =>
      kinds.find((kind) => kind.period === period && kind.tz === (tz ?? DEFAULT_ZONE))!,
    used: (listed) => selectUsed(transaction, source, periods, listed),
  }
}

function selectUsed(
  transaction: Transaction,
  source: Source,
  { kinds, past, earlier, shardsWithTotals }: Periods,
  listed: Listed,
): Fragment {
  const isListed = listed ? transaction`where k.token_hash = any (array(${listed}))` : transaction``
  const reset = transaction`select p.account from p where p.is_reset`
  const summed = transaction`select p.account from p where not p.is_reset and p.total is null`
  const scope: Scope = { kind: 'key', account: null, listed: summed }
  const timely =
    past === null
      ? timelyRows(transaction, scope)
      : asOfTimelyRows(transaction, scope, past.quarters)
  const takenOut = [...earlier]
  // Sums are grouped by numbers: to sort the hashes of many keys takes longer than to read them.
  return transaction`
    with s as materialized (${selectTotals(transaction, shardsWithTotals, listed)}),
    p as materialized (
      select
        row_number() over () as number, k.token_hash as account, b.start,
        r.reset_at is not null as is_reset,
        case when r.reset_at is null then s.quota_used end as total
      from (${source.keys()}) k
        ${joinStarts(transaction, kinds)}
        left join (${selectResets(transaction, past)}) r
          on r.token_hash = k.token_hash and r.reset_at >= b.start
        left join s on s.account = k.token_hash and s.start = b.start
      ${isListed}
    )
    select p.account, greatest(coalesce(p.total, n.quota_used, 0), 0) as quota_used
    from p
      left join (
        select n.number, sum(n.quota_used) as quota_used
        from (
          select p.number, u.quota_used
          from (${timely}) u
            join p on p.account = u.account
          where not p.is_reset and u.quarter >= p.start
            and u.quarter >= ${firstStartOf(kinds)}::timestamptz
          union all
          select p.number, u.quota_used
          from (${selectBackdated(transaction, summed, past, listed === null)}) u
            join p on p.account = u.account
          where not p.is_reset and u.quarter >= p.start
          union all
          select p.number, t.quota_used
          from (${source.counters('key', reset)}) t
            join p on p.account = t.account
          where p.is_reset
          union all
          select p.number, -e.quota_used
          from unnest(
            ${toTextArray(takenOut, ([account]) => account)}::text[],
            ${toTextArray(takenOut, ([, quota]) => String(quota))}::numeric[]
          ) as e(account, quota_used)
            join p on p.account = e.account
        ) n
        group by n.number
      ) n on n.number = p.number`
}
