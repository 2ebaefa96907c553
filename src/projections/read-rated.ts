import type { Fragment, Transaction } from '../db/pool.ts'
import { type Page, type PageRequest, type SortColumns, toKeyset, toPage } from './page.ts'
import { type Rated, type RatedRow, ratedColumns, toRated } from './rates.ts'

export type ProviderGroup = { id: number; name: string | null } & Rated & Endable
export type ApiKey = { id: number; group_id: number; name: string | null } & Rated & Endable

/** Present on a row that ended: RFC 3339. */
type Endable = { ended_at?: string }

/** What `sort` of provider groups and API keys can name. */
export const RATED_SORTS = {
  id: 'bigint',
  name: 'text',
  total_requests: 'numeric',
  success_requests: 'numeric',
  failure_requests: 'numeric',
  success_rate: 'float8',
  failure_rate: 'float8',
} as const satisfies SortColumns

/** What to read: a page, or (as a page of one) a single row. */
export type RatedRequest = PageRequest & { id: number | null }

/** Provider groups with their counters. */
export async function readProviderGroups(
  transaction: Transaction,
  request: RatedRequest,
): Promise<Page<ProviderGroup>> {
  const catalog = transaction`
    select g.id, 0::bigint as group_id, g.name, g.ended_at
    from provider_groups g
    where g.generation = ${liveGeneration(transaction, 'catalog')}`
  const counters = {
    table: transaction`provider_group_counters`,
    id: transaction`provider_group_id`,
    generation: liveGeneration(transaction, 'provider_group_counters'),
  }
  const page = await readRated(transaction, request, catalog, counters)
  return {
    ...page,
    items: page.items.map((row) => ({ ...identity(row), ...toRated(row), ...end(row) })),
  }
}

/** API keys with their counters, of one group if asked. */
export async function readApiKeys(
  transaction: Transaction,
  request: RatedRequest & { groupId: number | null },
): Promise<Page<ApiKey>> {
  const { groupId } = request
  const catalog = transaction`
    select k.id, k.group_id, k.name, k.ended_at
    from api_keys k
    where k.generation = ${liveGeneration(transaction, 'catalog')}
      ${groupId === null ? transaction`` : transaction`and k.group_id = ${groupId}`}`
  const counters = {
    table: transaction`api_key_counters`,
    id: transaction`api_key_id`,
    generation: liveGeneration(transaction, 'api_key_counters'),
  }
  const page = await readRated(transaction, request, catalog, counters)
  return {
    ...page,
    items: page.items.map((row) => {
      const { id, name } = identity(row)
      return { id, group_id: Number(row.group_id), name, ...toRated(row), ...end(row) }
    }),
  }
}

/** The generation of a projection that readers see. */
export function liveGeneration(transaction: Transaction, projection: string): Fragment {
  return transaction`(select p.generation from projections p where p.projection = ${projection})`
}

type Row = RatedRow & { id: string; group_id: string; name: string; ended_at: string | null }

const identity = (row: Row) => ({ id: Number(row.id), name: row.name === '' ? null : row.name })
const end = (row: Row): Endable => (row.ended_at === null ? {} : { ended_at: row.ended_at })

type Counters = { table: Fragment; id: Fragment; generation: Fragment }

async function readRated(
  transaction: Transaction,
  request: RatedRequest,
  catalog: Fragment,
  counters: Counters,
): Promise<Page<Row>> {
  const { column, cut } = toKeyset(transaction, request, RATED_SORTS, 'id')
  const byId = request.id !== null || column === 'id'
  const rows = await transaction<Row[]>`
    with c as (
      select *
      from (${catalog}) c
      where ${request.ended ? transaction`true` : transaction`c.ended_at is null`}
        and ${request.id === null ? transaction`true` : transaction`c.id = ${request.id}`}
        ${byId ? transaction`and ${cut}` : transaction``}
    )
    select *
    from (
      select
        c.id, c.group_id, coalesce(c.name, '') as name,
        to_char(c.ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as ended_at,
        ${ratedColumns(
          transaction,
          transaction`coalesce(n.requests, 0)`,
          transaction`coalesce(n.successes, 0)`,
        )}
      from c
        left join (${sumCounters(transaction, counters, byId)}) n on n.id = c.id
    ) r
    where ${cut}`
  return toPage(
    rows,
    request,
    (row) => [String(row[column as keyof Row]), row.id],
    (row) => row,
  )
}

/** Counters summed over the shards; `listed`: only those of the rows in `c`. */
function sumCounters(transaction: Transaction, counters: Counters, listed: boolean): Fragment {
  const { table, id, generation } = counters
  return transaction`
    select t.${id} as id, sum(t.requests) as requests, sum(t.successes) as successes
    from ${table} t
    where t.generation = ${generation}
      ${listed ? isListed(transaction, transaction`t.${id}`, transaction`c.id`) : transaction``}
    group by t.${id}`
}

/**
 * Further condition on counters `t`: their `key` is the `id` of a row in `c`. In the order of ids a
 * page is cut first and only its own rows are looked up; any other order has to know all sums.
 *
 * With `in` PostgreSQL 15 reads all counters: 30 ms for a page of 20,000 keys in 4 shards, and 2 ms
 * so. A lateral join is as fast, but Citus has none from a reference table to a distributed one.
 */
export function isListed(transaction: Transaction, key: Fragment, id: Fragment): Fragment {
  return transaction`
    and t.shard in (select s.shard from shards s)
    and ${key} = any (array(select ${id} from c))`
}
