import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
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
import { type Rated, type RatedRow, ratedColumns, toRated } from './rates.ts'

/** A provider group with its counters. `external_id` is null if it has none. */
export type ProviderGroup = {
  id: number
  external_id: string | null
  name: string | null
} & Rated &
  Retirable
/** An API key with its counters. */
export type ApiKey = ProviderGroup & { group_id: number }

/** Present on a retired row: when it was retired (RFC 3339). */
type Retirable = { ended_at?: string }

/** Columns by which provider groups and API keys can be sorted. */
export const RATED_SORTS = {
  id: 'bigint',
  name: 'text',
  total_requests: 'numeric',
  success_requests: 'numeric',
  failure_requests: 'numeric',
  success_rate: 'float8',
  failure_rate: 'float8',
} as const satisfies SortColumns

/** Selects a page, or (as a page of one) the row with an id or an external id. */
export type RatedRequest = PageRequest & { id: number | null; externalId: string | null }

/** Reads provider groups with their counters. */
export async function readProviderGroups(
  transaction: Transaction,
  source: Source,
  request: RatedRequest,
): Promise<Page<ProviderGroup>> {
  const catalog = transaction`
    select g.id, g.external_id, 0::bigint as group_id, coalesce(g.name, '') as name, g.ended_at
    from (${source.providerGroups()}) g`
  const page = await readRated(transaction, request, catalog, (listed) =>
    source.counters('provider_group', listed),
  )
  return {
    ...page,
    items: page.items.map((row) => ({ ...names(row), ...toRated(row), ...retirement(row) })),
  }
}

/** Reads API keys with their counters, optionally of one group. */
export async function readApiKeys(
  transaction: Transaction,
  source: Source,
  request: RatedRequest & { groupId: number | null },
): Promise<Page<ApiKey>> {
  const { groupId } = request
  const catalog = transaction`
    select k.id, k.external_id, k.group_id, coalesce(k.name, '') as name, k.ended_at
    from (${source.apiKeys()}) k
    ${groupId === null ? transaction`` : transaction`where k.group_id = ${groupId}`}`
  const page = await readRated(transaction, request, catalog, (listed) =>
    source.counters('api_key', listed),
  )
  return {
    ...page,
    items: page.items.map((row) => {
      const { id, external_id, name } = names(row)
      const group_id = Number(row.group_id)
      return { id, external_id, group_id, name, ...toRated(row), ...retirement(row) }
    }),
  }
}

type Row = RatedRow & {
  id: string
  external_id: string | null
  group_id: string
  name: string
  ended_at: string | null
}

const names = ({ id, external_id, name }: Row) => ({
  id: Number(id),
  external_id,
  name: name === '' ? null : name,
})
const retirement = (row: Row): Retirable =>
  row.ended_at === null ? {} : { ended_at: row.ended_at }

async function readRated(
  transaction: Transaction,
  request: RatedRequest,
  catalog: Fragment,
  counters: (listed: Listed) => Fragment,
): Promise<Page<Row>> {
  const { column, cut } = toKeyset(transaction, request, RATED_SORTS, 'id')
  const { id, externalId } = request
  const isCut = id !== null || externalId !== null || isOfCatalog(column, 'id')
  const listed = isCut ? transaction`select c.id from c` : null
  const rows = await transaction<Row[]>`
    with c as (
      select *
      from (${catalog}) c
      where ${request.ended ? transaction`true` : transaction`c.ended_at is null`}
        and ${isFound(transaction, ['id', 'external_id'], request)}
        ${id === null ? transaction`` : transaction`and c.id = ${id}`}
        ${externalId === null ? transaction`` : transaction`and c.external_id = ${externalId}`}
        ${isCut ? transaction`and ${cut}` : transaction``}
    )
    select *
    from (
      select
        c.id, c.external_id, c.group_id, c.name,
        ${transaction.unsafe(toMicroseconds('c.ended_at'))} as ended_at,
        ${ratedColumns(
          transaction,
          transaction`coalesce(n.requests, 0)`,
          transaction`coalesce(n.successes, 0)`,
        )}
      from c
        left join (
          select t.account, sum(t.requests) as requests, sum(t.successes) as successes
          from (${counters(listed)}) t
          group by t.account
        ) n on n.account = c.id
    ) r
    where ${cut}`
  return toPage(
    rows,
    request,
    (row) => [String(row[column as keyof Row]), row.id],
    (row) => row,
  )
}
