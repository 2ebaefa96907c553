import type { QuotaPeriod } from '../events/catalog-change.ts'
import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import type { Source } from '../read-model/queries/live-source.ts'
import { type Bounds, DEFAULT_ZONE, periodAt } from './periods.ts'

/** A kind of period that keys have, and the current one: since `start`, until `end`. */
export type PeriodKind = Bounds & { period: QuotaPeriod; tz: string }

/** The token key to read; null for all. */
export type QuotaScope = { tokenHash: string | null }

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

/**
 * Reads the kinds of periods that keys in the scope have. `nowMs` is the time in milliseconds since
 * 1970; null for that of the database's clock.
 */
export async function readKinds(
  transaction: Transaction,
  source: Source,
  scope: QuotaScope,
  nowMs: number | null,
): Promise<PeriodKind[]> {
  const rows = await transaction<{ period: QuotaPeriod; tz: string; now_ms: string }[]>`
    select k.quota_period as period, coalesce(k.quota_tz, ${DEFAULT_ZONE}) as tz,
      (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms
    from (${source.keys()}) k
    where ${hasPeriod(transaction, scope)}
    group by 1, 2`
  return rows.map(({ period, tz, now_ms }) => {
    return { period, tz, ...periodAt(period, tz, nowMs ?? Number(now_ms)) }
  })
}

const hasPeriod = (transaction: Transaction, { tokenHash }: QuotaScope) => transaction`
  k.quota_period is not null
  ${tokenHash === null ? transaction`` : transaction`and k.token_hash = ${tokenHash}`}`

/** Joins keys `k` with their kinds of period, as `b (kind, start)`: an index, and its start. */
export function joinStarts(transaction: Transaction, kinds: readonly PeriodKind[]): Fragment {
  return transaction`
    join unnest(
      ${kinds.map((_, i) => i)}::integer[],
      ${kinds.map(({ period }) => period)}::text[],
      ${kinds.map(({ tz }) => tz)}::text[],
      ${kinds.map(({ start }) => start)}::timestamptz[]
    ) as b(kind, period, tz, start)
      on b.period = k.quota_period and b.tz = coalesce(k.quota_tz, ${DEFAULT_ZONE})`
}

/** Returns when the first of these periods began. */
export const firstStartOf = (kinds: readonly { start: string }[]): string =>
  kinds.map(({ start }) => start).sort()[0] ?? 'infinity'
