import { ACCOUNTS } from '../../events/accounts.ts'
import type { QuotaPeriod } from '../../events/catalog-change.ts'
import { type Exact, toExact } from '../../events/exact.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { totalOfRows } from '../projections/account-sql.ts'
import {
  isFound,
  isOfCatalog,
  type Page,
  type PageRequest,
  type SortColumns,
  toKeyset,
  toPage,
} from './keyset-page.ts'
import type { Listed, Source } from './live-source.ts'

/** A token key with its counters. */
export type Key = {
  token_hash: string
  name: string | null
  request_count: Exact
  used_tokens: Exact
  /** -1 means unlimited. */
  quota_limit: number
  /** Since the last reset; with a period, since that began, if it did so later. */
  quota_used: Exact
  /** RFC 3339 in UTC, to the second; null if the key was never used. */
  last_accessed_at: string | null
  ended_at?: string
} & Partial<Period>

/** Present if the key has a period or a time zone of its own; the bounds only with a period. */
type Period = {
  quota_period: QuotaPeriod | 'none'
  quota_tz: string
  /** RFC 3339 in UTC. */
  quota_period_start?: string
  quota_resets_at?: string
}

/** Reads of what keys with a period used since it began: see `src/quota`. */
export type PeriodReads = {
  /** Returns when the current period began and when it ends. */
  boundsOf(period: QuotaPeriod, tz: string | null): { start: string; end: string }
  /** Selects `account` and `quota_used` of every listed key that has a period. */
  used(listed: Listed): Fragment
}

/** Columns by which keys can be sorted. */
export const KEY_SORTS = {
  token_hash: 'text',
  name: 'text',
  request_count: 'numeric',
  used_tokens: 'numeric',
  quota_limit: 'bigint',
  quota_used: 'numeric',
  last_accessed_at: 'bigint',
} as const satisfies SortColumns

type Row = {
  token_hash: string
  name: string
  request_count: string
  used_tokens: string
  quota_limit: string
  quota_used: string
  last_accessed_at: string
  ended_at: string | null
  quota_period: QuotaPeriod | null
  quota_tz: string | null
}

/**
 * Reads token keys with their counters; `tokenHash` selects a single one. Without `periods`, the
 * `quota_used` of a key with a period is wrong, and its bounds are absent: then nothing more is
 * read for all other keys.
 */
export async function readKeys(
  transaction: Transaction,
  source: Source,
  request: PageRequest & { tokenHash: string | null },
  periods: PeriodReads | null,
): Promise<Page<Key>> {
  const { tokenHash } = request
  const { column, cut } = toKeyset(transaction, request, KEY_SORTS, 'token_hash')
  const isCut = tokenHash !== null || isOfCatalog(column, 'token_hash')
  const listed = isCut ? transaction`select c.token_hash from c` : null
  const rows = await transaction<Row[]>`
    with c as (
      select *
      from (
        select
          k.token_hash, k.quota_limit, coalesce(k.name, '') as name, k.ended_at, k.quota_period,
          k.quota_tz
        from (${source.keys()}) k
      ) c
      where ${request.ended ? transaction`true` : transaction`c.ended_at is null`}
        and ${isFound(transaction, ['token_hash'], request)}
        and ${tokenHash === null ? transaction`true` : transaction`c.token_hash = ${tokenHash}`}
        ${isCut ? transaction`and ${cut}` : transaction``}
    )
    select *
    from (
      select
        c.token_hash, c.name, c.quota_limit,
        coalesce(n.requests, 0) as request_count,
        coalesce(n.tokens, 0) as used_tokens,
        coalesce(${periods ? transaction`p.quota_used,` : transaction``} n.quota_used, 0)
          as quota_used,
        coalesce(n.last_accessed_at, 0) as last_accessed_at,
        ${transaction.unsafe(toMicroseconds('c.ended_at'))} as ended_at, c.quota_period, c.quota_tz
      from c
        left join (
          select t.account, ${totalOfRows(transaction, ACCOUNTS.key, 't')}
          from (${source.counters('key', listed)}) t
          group by t.account
        ) n on n.account = c.token_hash
        ${periods ? joinUsed(transaction, periods.used(listed)) : transaction``}
    ) r
    where ${cut}`
  const values = (row: Row): [string, string] => [row[column as keyof Row]!, row.token_hash]
  return toPage(rows, request, values, (row) => toKey(row, periods))
}

const joinUsed = (transaction: Transaction, used: Fragment) =>
  transaction`left join (${used}) p on p.account = c.token_hash`

function toKey(row: Row, periods: PeriodReads | null): Key {
  const lastAccessedAt = Number(row.last_accessed_at)
  return {
    token_hash: row.token_hash,
    name: row.name === '' ? null : row.name,
    request_count: toExact(row.request_count),
    used_tokens: toExact(row.used_tokens),
    quota_limit: Number(row.quota_limit),
    quota_used: toExact(row.quota_used),
    last_accessed_at: lastAccessedAt === 0 ? null : formatUnixSeconds(lastAccessedAt),
    ...(row.ended_at === null ? {} : { ended_at: row.ended_at }),
    ...toPeriod(row, periods),
  }
}

function toPeriod({ quota_period, quota_tz }: Row, periods: PeriodReads | null): Partial<Period> {
  if (quota_period === null && quota_tz === null) return {}
  const named = { quota_period: quota_period ?? 'none', quota_tz: quota_tz ?? 'UTC' } as const
  if (quota_period === null || periods === null) return named
  const { start, end } = periods.boundsOf(quota_period, quota_tz)
  return { ...named, quota_period_start: start, quota_resets_at: end }
}

/** `2023-11-14T22:13:20+00:00` */
export function formatUnixSeconds(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}+00:00`
}
