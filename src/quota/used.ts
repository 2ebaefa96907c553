import type { QuotaPeriod } from '../events/catalog-change.ts'
import type { Positions } from '../events/positions.ts'
import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import {
  asOfBackdatedRows,
  asOfTimelyRows,
  type PartialQuarterHour,
} from '../read-model/queries/as-of-usage-rows.ts'
import type { PeriodReads } from '../read-model/queries/keys.ts'
import { type Listed, liveGeneration, type Source } from '../read-model/queries/live-source.ts'
import { backdatedRows, type Scope, timelyRows } from '../read-model/queries/scope.ts'
import { DEFAULT_ZONE, periodAt } from './periods.ts'

/** The state that is read, and its time. */
export type QuotaState = {
  /** Milliseconds since 1970; null for the time of the database's clock. */
  nowMs: number | null
  /** Null for the current state. */
  past: { positions: Positions; quarters: readonly PartialQuarterHour[] } | null
}

/** The current state, by the database's clock. */
export const NOW: QuotaState = { nowMs: null, past: null }

/** The token key to read; null for all. */
export type QuotaScope = { tokenHash: string | null }

type PeriodRow = { period: QuotaPeriod; tz: string; now_ms: string }
type PeriodKind = { period: QuotaPeriod; tz: string; start: string; end: string }

/** Returns whether a key in the scope has a period. */
export async function hasPeriods(
  transaction: Transaction,
  source: Source,
  scope: QuotaScope,
): Promise<boolean> {
  const rows = await transaction`
    select from (${source.keys()}) k where ${hasPeriod(transaction, scope)} limit 1`
  return rows.length > 0
}

const hasPeriod = (transaction: Transaction, { tokenHash }: QuotaScope) => transaction`
  k.quota_period is not null
  ${tokenHash === null ? transaction`` : transaction`and k.token_hash = ${tokenHash}`}`

/**
 * Finds the current period of each kind of period that a key in the scope has, and returns how to
 * read what was used since it began.
 *
 * If the quota of a key was reset in the period, that is what its counter says, less what acts have
 * counted since in an earlier period. Otherwise it is the usage of the quarter hours since, and
 * what acts count in none (see `Act.quarter`). It is never below 0, even if an adjustment took away
 * more than was used in the period.
 */
export async function readPeriods(
  transaction: Transaction,
  source: Source,
  scope: QuotaScope,
  state: QuotaState,
): Promise<PeriodReads> {
  const rows = await transaction<PeriodRow[]>`
    select k.quota_period as period, coalesce(k.quota_tz, ${DEFAULT_ZONE}) as tz,
      (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms
    from (${source.keys()}) k
    where ${hasPeriod(transaction, scope)}
    group by 1, 2`
  const kinds = rows.map(({ period, tz, now_ms }): PeriodKind => {
    return { period, tz, ...periodAt(period, tz, state.nowMs ?? Number(now_ms)) }
  })
  return {
    boundsOf: (period, tz) =>
      kinds.find((kind) => kind.period === period && kind.tz === (tz ?? DEFAULT_ZONE))!,
    used: (listed) => selectUsed(transaction, source, state.past, kinds, listed),
  }
}

function selectUsed(
  transaction: Transaction,
  source: Source,
  past: QuotaState['past'],
  kinds: readonly PeriodKind[],
  listed: Listed,
): Fragment {
  const isListed = listed ? transaction`where k.token_hash = any (array(${listed}))` : transaction``
  const firstStart = kinds.map(({ start }) => start).sort()[0] ?? 'infinity'
  const running: Scope = {
    ...{ kind: 'key', account: null },
    listed: transaction`select p.account from p where p.reset is null`,
  }
  const all: Scope = { ...running, listed: transaction`select p.account from p` }
  const reset = transaction`select p.account from p where p.reset is not null`
  const timely =
    past === null
      ? timelyRows(transaction, running)
      : asOfTimelyRows(transaction, running, past.quarters)
  const backdated =
    past === null
      ? backdatedRows(transaction, all)
      : asOfBackdatedRows(transaction, all, past.quarters)
  // Sums are grouped by numbers: to sort the hashes of many keys takes longer than to read them.
  return transaction`
    with p as materialized (
      select
        row_number() over () as number, k.token_hash as account, b.start, r.position as reset
      from (${source.keys()}) k
        join ${unnestKinds(transaction, kinds)}
          on b.period = k.quota_period and b.tz = coalesce(k.quota_tz, ${DEFAULT_ZONE})
        left join (${selectResets(transaction, past)}) r
          on r.token_hash = k.token_hash and r.reset_at >= b.start
      ${isListed}
    )
    select p.account, greatest(coalesce(n.quota_used, 0), 0) as quota_used
    from p
      left join (
        select n.number, sum(n.quota_used) as quota_used
        from (
          select p.number, u.quota_used
          from (${timely}) u
            join p on p.account = u.account
          where p.reset is null and u.quarter >= p.start
            and u.quarter >= ${firstStart}::timestamptz
          union all
          select p.number, case when p.reset is null then u.quota_used else -u.quota_used end
          from (${backdated}) u
            join p on p.account = u.account
            left join acts a on a.generation = ${liveGeneration(transaction, 'bookkeeping')}
              and a.position = u.position and not isfinite(u.quarter) and u.shard = 0
          where case
            when p.reset is null then coalesce(a.quarter, u.quarter) >= p.start
            else u.shard = 0 and u.position > p.reset and coalesce(a.quarter, u.quarter) < p.start
          end
          union all
          select p.number, t.quota_used
          from (${source.counters('key', reset)}) t
            join p on p.account = t.account
          where p.reset is not null
        ) n
        group by n.number
      ) n on n.number = p.number`
}

/** The kinds of periods as rows `b`, for use after `from`. */
function unnestKinds(transaction: Transaction, kinds: readonly PeriodKind[]): Fragment {
  return transaction`
    unnest(
      ${kinds.map(({ period }) => period)}::text[],
      ${kinds.map(({ tz }) => tz)}::text[],
      ${kinds.map(({ start }) => start)}::timestamptz[]
    ) as b(period, tz, start)`
}

/** Selects the last reset of each key. */
function selectResets(transaction: Transaction, past: QuotaState['past']): Fragment {
  const isThere =
    past === null ? transaction`true` : transaction`q.position <= ${past.positions[0]!}`
  return transaction`
    select distinct on (q.token_hash) q.token_hash, q.position, q.reset_at
    from quota_resets q
    where q.generation = ${liveGeneration(transaction, 'bookkeeping')} and ${isThere}
    order by q.token_hash, q.position desc`
}
