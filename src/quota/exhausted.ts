import type { QuotaPeriod } from '../events/catalog-change.ts'
import { type Exact, toExact } from '../events/exact.ts'
import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import { toTextArray } from '../read-model/projections/array.ts'
import type { PeriodReads } from '../read-model/queries/keys.ts'
import { type Page, type PageRequest, toKeyset, toPage } from '../read-model/queries/keyset-page.ts'
import type { Source } from '../read-model/queries/live-source.ts'

/** A token key that has used its quota. */
export type Exhausted = {
  token_hash: string
  quota_limit: number
  quota_used: Exact
  /** When its quota begins anew (RFC 3339); null if never. */
  resets_at: string | null
}

type Row = {
  token_hash: string
  quota_limit: string
  quota_used: string
  quota_period: QuotaPeriod | null
  quota_tz: string | null
}

/** Rows that are fetched at once when all are read. */
const ROWS_AT_ONCE = 5_000

/** Reads a page of the keys that have used their quota, by hash. Throws CursorError. */
export async function readExhausted(
  transaction: Transaction,
  source: Source,
  { limit, cursor }: Pick<PageRequest, 'limit' | 'cursor'>,
  periods: PeriodReads | null,
): Promise<Page<Exhausted>> {
  const page = { limit, cursor, sort: 'token_hash', ended: false, search: null }
  const { cut } = toKeyset(transaction, page, { token_hash: 'text' }, 'token_hash')
  const rows = await transaction<Row[]>`
    select * from (${selectExhausted(transaction, source, periods)}) r where ${cut}`
  const values = ({ token_hash }: Row): [string, string] => [token_hash, token_hash]
  return toPage(rows, page, values, (row) => toExhausted(row, periods))
}

/** Reads all keys that have used their quota, by hash. */
export async function readAllExhausted(
  transaction: Transaction,
  source: Source,
  periods: PeriodReads | null,
): Promise<Map<string, Exhausted>> {
  const all = new Map<string, Exhausted>()
  const rows = transaction<Row[]>`
    ${selectExhausted(transaction, source, periods)} order by k.token_hash`
  for await (const some of rows.cursor(ROWS_AT_ONCE)) {
    for (const row of some) all.set(row.token_hash, toExhausted(row, periods))
  }
  return all
}

/** What a key has used of its quota. */
export type QuotaUse = { token_hash: string; quota_limit: number; quota_used: Exact }

/**
 * Reads what keys have used that are not retired and have a limit above 0, and have used `percent`
 * of it or are one of `hashes`.
 */
export async function readUsedQuotas(
  transaction: Transaction,
  source: Source,
  periods: PeriodReads | null,
  { percent, hashes }: { percent: number; hashes: readonly string[] },
): Promise<QuotaUse[]> {
  // As a subquery it is hashed, also in a plan that is made for any list.
  const isListed = transaction`
    k.token_hash in (select unnest(${toTextArray(hashes, (hash) => hash)}::text[]))`
  const rows = await transaction<Row[]>`
    ${selectKeys(
      transaction,
      source,
      periods,
      (used) => transaction`
        k.quota_limit > 0
          and (${used} * 100 >= k.quota_limit::numeric * ${percent} or ${isListed})`,
    )}`
  return rows.map(({ token_hash, quota_limit, quota_used }) => ({
    ...{ token_hash, quota_limit: Number(quota_limit), quota_used: toExact(quota_used) },
  }))
}

/** Selects the keys that are not retired, have a limit, and have reached it. */
const selectExhausted = (
  transaction: Transaction,
  source: Source,
  periods: PeriodReads | null,
): Fragment =>
  selectKeys(
    transaction,
    source,
    periods,
    (used) => transaction`k.quota_limit >= 0 and ${used} >= k.quota_limit`,
  )

/** Selects the keys that are not retired for which `has` is true of what they used. */
function selectKeys(
  transaction: Transaction,
  source: Source,
  periods: PeriodReads | null,
  has: (used: Fragment) => Fragment,
): Fragment {
  const used = periods
    ? transaction`coalesce(p.quota_used, n.quota_used, 0)`
    : transaction`coalesce(n.quota_used, 0)`
  const ofKey = transaction`p.account = k.token_hash`
  return transaction`
    select k.token_hash, k.quota_limit, ${used} as quota_used, k.quota_period, k.quota_tz
    from (${source.keys()}) k
      left join (
        select t.account, sum(t.quota_used) as quota_used
        from (${source.counters('key', null)}) t
        group by t.account
      ) n on n.account = k.token_hash
      ${periods ? transaction`left join (${periods.used(null)}) p on ${ofKey}` : transaction``}
    where k.ended_at is null and ${has(used)}`
}

const toExhausted = (row: Row, periods: PeriodReads | null): Exhausted => ({
  token_hash: row.token_hash,
  quota_limit: Number(row.quota_limit),
  quota_used: toExact(row.quota_used),
  resets_at:
    row.quota_period === null || periods === null
      ? null
      : periods.boundsOf(row.quota_period, row.quota_tz).end,
})
