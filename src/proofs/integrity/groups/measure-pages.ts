import type { DigestValue } from '../../../events/digest.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import type { ShardFold } from '../../verifier/fold.ts'
import { mergeRows } from '../compare.ts'
import type { Problem } from '../problem.ts'
import type { Target } from '../tables.ts'

/** A table with snapshots of measures, in pages of one measure. */
type MeasurePages = {
  name: string
  measures: 'api_key_measures' | 'provider_group_measures' | 'key_measures'
  id: string
  first: string
  last: string
  accounts: string
}

const ID_PAGE = { first: 'first_id', last: 'last_id', accounts: 'ids' }
const HASH_PAGE = { first: 'first_hash', last: 'last_hash', accounts: 'token_hashes' }

export const MEASURE_PAGES: readonly MeasurePages[] = [
  {
    ...{ name: 'api_key_measure_snapshots', measures: 'api_key_measures', id: 'api_key_id' },
    ...ID_PAGE,
  },
  {
    ...{ name: 'provider_group_measure_snapshots', measures: 'provider_group_measures' },
    ...{ id: 'provider_group_id', ...ID_PAGE },
  },
  {
    ...{ name: 'key_measure_snapshots', measures: 'key_measures', id: 'token_hash' },
    ...HASH_PAGE,
  },
]

/** Accounts per page. */
const PAGE_ACCOUNTS = 1_000

/**
 * Checks that the snapshot at a position holds all measures as of the event there, each in pages
 * that begin and end with the accounts they name.
 */
export function compareMeasures(
  sql: Transaction,
  { name, measures, id, first, last, accounts }: MeasurePages,
  { shard, generation }: Target,
  position: number,
  fold: ShardFold,
): Promise<Problem[]> {
  const collation = id === 'token_hash' ? ' collate "C"' : ''
  const rows = sql
    .unsafe(
      `
      select
        s.number::text, u.account::text, u.total::text, s.${first}::text, s.${last}::text,
        cardinality(s.${accounts})::text
      from ${name} s
        cross join lateral unnest(s.${accounts}, s.totals) as u(account, total)
      where s.shard = $1 and s.generation = $2 and s.position = $3
      order by s.number, u.account${collation}`,
      [shard, generation, position],
      { prepare: true },
    )
    .raw()
  return mergeRows(rows, inPages(fold.rows(measures)), {
    check: 'snapshots',
    key: ['number', id],
    values: ['total', first, last, 'length'],
    place: (row) => `${name} ${shard}/${position}/${row[0]}/${row[3]}`,
  })
}

/** Yields each measure of each account, with the ends and the length of its page. */
function* inPages(rows: Iterable<DigestValue[]>): Generator<DigestValue[]> {
  const byNumber = new Map<number, DigestValue[][]>()
  for (const [account, measures] of rows) {
    for (const [number, total] of (measures as readonly (number | bigint)[]).entries()) {
      if (Number(total) === 0) continue
      const all = byNumber.get(number) ?? []
      byNumber.set(number, all)
      all.push([account!, total])
    }
  }
  for (const [number, all] of [...byNumber].sort(([a], [b]) => a - b)) {
    for (let start = 0; start < all.length; start += PAGE_ACCOUNTS) {
      const page = all.slice(start, start + PAGE_ACCOUNTS)
      for (const [account, total] of page) {
        yield [number, account!, total!, page[0]![0]!, page.at(-1)![0]!, page.length]
      }
    }
  }
}
