import type { AttestedTable, DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Sql, Transaction } from '../../../platform/postgres/pool.ts'
import { ShardFold } from '../../verifier/fold.ts'
import { mergeRows } from '../compare.ts'
import { MAX_PROBLEMS, type Problem } from '../problem.ts'
import { attestedTable, type Target } from '../tables.ts'
import type { ProjectionGroup, Settled, Targets } from './group.ts'
import { compareMeasures, MEASURE_PAGES } from './measure-pages.ts'

/** A table of snapshots, which stores a table of counters in pages. */
type PageTable = {
  name: string
  counters: AttestedTable
  /** The columns with a page's first account, its last account, and all of its accounts. */
  first: string
  last: string
  accounts: string
}

const ID_PAGE = { first: 'first_id', last: 'last_id', accounts: 'ids' }
const HASH_PAGE = { first: 'first_hash', last: 'last_hash', accounts: 'token_hashes' }
const PAGES: readonly PageTable[] = [
  { name: 'api_key_snapshots', counters: 'api_key_counters', ...ID_PAGE },
  { name: 'provider_group_snapshots', counters: 'provider_group_counters', ...ID_PAGE },
  { name: 'key_snapshots', counters: 'key_counters', ...HASH_PAGE },
]

/** Accounts per page. */
const PAGE_ACCOUNTS = 1_000

/** Checks that every snapshot holds all counters as of the event at its position. */
export class SnapshotGroup implements ProjectionGroup {
  readonly projections = [
    {
      projection: 'snapshots',
      version: 1,
      tables: [
        ...PAGES.map(({ name, first }) => ({ name, key: ['position', first], isSharded: true })),
        ...MEASURE_PAGES.map(({ name, first }) => ({
          ...{ name, key: ['position', 'number', first], isSharded: true },
        })),
      ],
    },
  ]
  readonly #fold = new ShardFold({ counters: true, usage: false, catalog: false })

  add(event: Event | null, position: number, recordedAt: string): void {
    this.#fold.add(event, position, recordedAt)
  }

  /** Returns the next position for which any of the tables has a page. */
  async nextStop(sql: Sql | Transaction, targets: Targets, after: number): Promise<number | null> {
    const target = targets.get('snapshots')
    if (target === undefined) return null
    const next = ({ name }: { name: string }) => sql`
      select min(s.position) as position
      from ${sql(name)} s
      where s.shard = ${target.shard} and s.generation = ${target.generation}
        and s.position > ${after}`
    const rows = await Promise.all([...PAGES, ...MEASURE_PAGES].map(next))
    const positions = rows.flatMap(([row]) => (row!.position === null ? [] : [row!.position]))
    return positions.length === 0 ? null : Math.min(...positions.map(Number))
  }

  async compareSettled(sql: Transaction, targets: Targets, position: number): Promise<Settled[]> {
    const target = targets.get('snapshots')
    if (target === undefined) return []
    if ((await this.nextStop(sql, targets, position - 1)) !== position) return []
    const problems: Problem[] = []
    for (const pages of PAGES) {
      problems.push(...(await this.#compareAccounts(sql, pages, target, position)))
      problems.push(...(await checkPages(sql, pages, target, position)))
    }
    for (const pages of MEASURE_PAGES) {
      problems.push(...(await compareMeasures(sql, pages, target, position, this.#fold)))
    }
    // The service may have removed it meanwhile, from all tables: they thin out with age.
    if (problems.length > 0 && (await this.nextStop(sql, targets, position - 1)) !== position) {
      return []
    }
    return [{ projection: 'snapshots', problems }]
  }

  /** Checks that the newest snapshot is at the checkpoint. */
  async compare(
    sql: Transaction,
    _: string,
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

  #compareAccounts(
    sql: Transaction,
    { name, counters, first, accounts }: PageTable,
    { shard, generation }: Target,
    position: number,
  ): Promise<Problem[]> {
    const { key, values } = attestedTable(counters)
    const collation = key[0] === 'token_hash' ? ' collate "C"' : ''
    const columns = values.map((value) => `u.${value}::text`)
    const arrays = [accounts, ...values].map((column) => `s.${column}`)
    const rows = sql
      .unsafe(
        `
        select u.account::text, ${columns.join(', ')}, s.${first}::text
        from ${name} s
          cross join lateral unnest(${arrays.join(', ')})
            as u(account, ${values.join(', ')})
        where s.shard = $1 and s.generation = $2 and s.position = $3 and u.account is not null
        order by u.account${collation}`,
        [shard, generation, position],
        { prepare: true },
      )
      .raw()
    return mergeRows(rows, inPages(this.#fold.rows(counters)), {
      check: 'snapshots',
      key,
      values,
      place: (row) => `${name} ${shard}/${position}/${row.at(-1)}`,
    })
  }
}

/** Yields each row with the first account of its page appended. */
function* inPages(rows: Iterable<DigestValue[]>): Generator<DigestValue[]> {
  let [first, count]: [DigestValue, number] = [null, 0]
  for (const row of rows) {
    if (count++ % PAGE_ACCOUNTS === 0) first = row[0]!
    yield [...row, first]
  }
}

/**
 * Checks the pages by themselves: each begins and ends with the accounts it names, is sorted in the
 * database's order, has a value for each account, and ends before the next begins. The first page
 * is empty: it records that the snapshot exists, even if it has no accounts.
 */
async function checkPages(
  sql: Transaction,
  { name, counters, first, last, accounts }: PageTable,
  { shard, generation }: Target,
  position: number,
): Promise<Problem[]> {
  const { values, key } = attestedTable(counters)
  const none = key[0] === 'token_hash' ? "''" : '0'
  const lengths = values.map((value) => `cardinality(p.${value}) = p.length`)
  const rows = await sql.unsafe<{ first: string; found: string }[]>(
    `
    select p.${first} as first, left(row_to_json(p)::text, 300) as found
    from (
      select s.*, cardinality(s.${accounts}) as length,
        row_number() over (order by s.${first}) as number,
        lead(s.${first}) over (order by s.${first}) as next
      from ${name} s
      where s.shard = $1 and s.generation = $2 and s.position = $3
    ) p
    where (
      case when p.number = 1
        then p.${first} = ${none} and p.${last} = ${none} and p.length = 0
        else p.length between 1 and ${PAGE_ACCOUNTS}
          and p.${accounts}[1] = p.${first} and p.${accounts}[p.length] = p.${last}
          and (p.next is null or p.next > p.${last})
          and p.${accounts} = array(select a from unnest(p.${accounts}) a order by a)
      end
      and ${lengths.join(' and ')}
    ) is not true
    order by 1
    limit ${MAX_PROBLEMS}`,
    [shard, generation, position],
    { prepare: true },
  )
  const [any] = await sql`
    select from ${sql(name)} s
    where s.shard = ${shard} and s.generation = ${generation} and s.position = ${position}
    limit 1`
  const missing = any === undefined ? [{ first: none.replaceAll("'", ''), found: 'no page' }] : []
  return [...missing, ...rows].map(({ first: page, found }) => ({
    check: 'snapshots',
    at: `${name} ${shard}/${position}/${page}`,
    expected: 'a page of accounts in order, with a value for each',
    found,
  }))
}
