import type { Sql, Transaction } from '../../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from '../problem.ts'
import type { Refold, RefoldTable, Target } from '../refold.ts'
import { apiKeyCounters } from './api-key-counters.ts'
import { keyCounters } from './key-counters.ts'
import { providerGroupCounters } from './provider-group-counters.ts'

/** A table of snapshots: pages of what the counters were. */
type Pages = {
  name: string
  /** The counters that were folded here up to the snapshot. */
  counters: RefoldTable
  id: string
  /** Names of the page's columns: its first and last id, and all of them. */
  page: { first: string; last: string; ids: string }
  /** First and last id of the page that has none. */
  empty: string
}

const sumPages = (name: string, { tables }: Refold, id: string): Pages => ({
  name,
  counters: snapshotOf(tables[0]!),
  id,
  page: { first: 'first_id', last: 'last_id', ids: 'ids' },
  empty: '0',
})

/** The same counters, in a refold of their own: snapshots have a checkpoint of their own. */
const snapshotOf = (counters: RefoldTable): RefoldTable => ({
  ...counters,
  name: `${counters.name}_then`,
  fold: counters.fold.replace(`refold_${counters.name}`, `refold_${counters.name}_then`),
})

const PAGES: Pages[] = [
  sumPages('api_key_snapshots', apiKeyCounters, 'api_key_id'),
  sumPages('provider_group_snapshots', providerGroupCounters, 'provider_group_id'),
  {
    name: 'key_snapshots',
    counters: snapshotOf(keyCounters.tables[0]!),
    id: 'token_hash',
    page: { first: 'first_hash', last: 'last_hash', ids: 'token_hashes' },
    empty: "''",
  },
]

/** Ids of one page. */
const PAGE_IDS = 1_000

/** Every snapshot holds all counters as they stood after the event at its position. */
export const snapshots: Refold = {
  projection: 'snapshots',
  version: 1,
  group: 'snapshots',
  tables: PAGES.map(({ counters }) => ({ ...counters, isShown: false as const })),
  otherTables: PAGES.map(({ name, page }) => ({
    name,
    key: ['position', page.first],
    isSharded: true,
  })),
  nextStop,
  compareAt: async (sql, target, position) => {
    const problems: Problem[] = []
    for (const pages of PAGES) problems.push(...(await comparePages(sql, pages, target, position)))
    return problems
  },
  compareEnd,
}

/** The next position that any of the tables has a page of. */
async function nextStop(
  sql: Sql | Transaction,
  { shard, generation }: Target,
  after: number,
): Promise<number | null> {
  const next = (name: string) => sql`
    select min(s.position) as position
    from ${sql(name)} s
    where s.shard = ${shard} and s.generation = ${generation} and s.position > ${after}`
  const [row] = await sql<{ position: string | null }[]>`
    select min(n.position) as position
    from (
      ${next('api_key_snapshots')} union all
      ${next('provider_group_snapshots')} union all
      ${next('key_snapshots')}
    ) n`
  return row!.position === null ? null : Number(row!.position)
}

async function comparePages(
  sql: Transaction,
  { name, counters, id, page, empty }: Pages,
  { shard, generation }: Target,
  position: number,
): Promise<Problem[]> {
  const { first, last, ids } = page
  const values = Object.keys(counters.columns).filter((column) => column !== id)
  const columns = [last, ids, ...values]
  const list = (alias: string) => columns.map((column) => `${alias}.${column}`).join(', ')
  const rows = await sql.unsafe<{ first: string; expected: string; found: string }[]>(
    `
    select ${first} as first,
      coalesce(left(row_to_json(r)::text, 300), 'no page') as expected,
      coalesce(left(row_to_json(f)::text, 300), 'no page') as found
    from (
      select ${empty} as ${first}, ${empty} as ${last}, '{}' as ${ids},
        ${values.map((value) => `'{}' as ${value}`).join(', ')}
      union all
      select min(p.${id}), max(p.${id}), array_agg(p.${id} order by p.${id}),
        ${values.map((value) => `array_agg(p.${value} order by p.${id})`).join(', ')}
      from (
        select n.*, (row_number() over (order by n.${id}) - 1) / ${PAGE_IDS} as page
        from refold_${counters.name} n
      ) p
      group by p.page
    ) r
      full join (
        select s.${first}, ${list('s')}
        from ${name} s
        where s.shard = $1 and s.generation = $2 and s.position = $3
      ) f using (${first})
    where (${list('r')}) is distinct from (${list('f')})
    order by 1
    limit ${MAX_PROBLEMS}`,
    [shard, generation, position],
    { prepare: true },
  )
  return rows.map((row) => ({
    check: 'snapshots',
    at: `${name} ${shard}/${position}/${row.first}`,
    expected: row.expected,
    found: row.found,
  }))
}

/** The newest snapshot is at the checkpoint, and there is none behind it. */
async function compareEnd(
  sql: Transaction,
  { shard, generation }: Target,
  position: number,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const { name } of PAGES) {
    const [row] = await sql<{ newest: string }[]>`
      select coalesce(max(s.position), -1) as newest
      from ${sql(name)} s
      where s.shard = ${shard} and s.generation = ${generation}`
    if (Number(row!.newest) === position) continue
    problems.push({
      check: 'snapshots',
      at: `${name} ${shard}/${row!.newest}`,
      expected: `the newest snapshot at the checkpoint, ${position}`,
      found: row!.newest,
    })
  }
  return problems
}
