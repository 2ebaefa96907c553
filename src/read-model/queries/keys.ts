import { ACCOUNTS } from '../../events/accounts.ts'
import { type Exact, toExact } from '../../events/exact.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
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
import type { Source } from './live-source.ts'

/** A token key with its counters. */
export type Key = {
  token_hash: string
  name: string | null
  request_count: Exact
  used_tokens: Exact
  /** -1 means unlimited. */
  quota_limit: number
  quota_used: Exact
  /** RFC 3339 in UTC, to the second; null if the key was never used. */
  last_accessed_at: string | null
  ended_at?: string
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
}

/** Reads token keys with their counters; `tokenHash` selects a single one. */
export async function readKeys(
  transaction: Transaction,
  source: Source,
  request: PageRequest & { tokenHash: string | null },
): Promise<Page<Key>> {
  const { tokenHash } = request
  const { column, cut } = toKeyset(transaction, request, KEY_SORTS, 'token_hash')
  const isCut = tokenHash !== null || isOfCatalog(column, 'token_hash')
  const listed = isCut ? transaction`select c.token_hash from c` : null
  const rows = await transaction<Row[]>`
    with c as (
      select *
      from (
        select k.token_hash, k.quota_limit, coalesce(k.name, '') as name, k.ended_at
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
        coalesce(n.quota_used, 0) as quota_used,
        coalesce(n.last_accessed_at, 0) as last_accessed_at,
        ${transaction.unsafe(toMicroseconds('c.ended_at'))} as ended_at
      from c
        left join (
          select t.account, ${totalOfRows(transaction, ACCOUNTS.key, 't')}
          from (${source.counters('key', listed)}) t
          group by t.account
        ) n on n.account = c.token_hash
    ) r
    where ${cut}`
  const values = (row: Row): [string, string] => [row[column as keyof Row]!, row.token_hash]
  return toPage(rows, request, values, toKey)
}

function toKey(row: Row): Key {
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
  }
}

/** `2023-11-14T22:13:20+00:00` */
function formatUnixSeconds(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}+00:00`
}
