import { ACCOUNT_KINDS, ACCOUNTS, type AccountShape } from '../../events/accounts.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { type Column, gatherColumns, listOf, totalOfRows, unnest, valuesOf } from './account-sql.ts'
import { createAllTotals } from './create-totals.ts'
import { createAllMeasures } from './detail-totals.ts'
import { countPostings, type Entry } from './entry.ts'
import { measureColumns, measureSnapshotTableOf, writeMeasurePages } from './measure-snapshots.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { PAGE_ACCOUNTS, snapshotTable } from './snapshot-pages.ts'
import { EVENT_COST } from './snapshot-size.ts'

/**
 * All counters as of selected positions: an as-of read takes the newest snapshot at or before its
 * position and folds the few events after it. Each snapshot is built from the previous one and the
 * events since, so the checkpoint is the position of the newest snapshot. They thin out with age
 * (see `thinSnapshots`).
 *
 * Rejected: storing a version of each row on every change. At one row per version this costs ten
 * times as much as these pages, so versions could only be a tenth as dense.
 */
export const snapshots: Projection = {
  name: 'snapshots',
  // Not raised when key_counters was: older snapshots still hold the last accesses shown at the
  // time.
  version: 1,
  tables: [
    ...ACCOUNT_KINDS.map((kind) => {
      const { table, first, last, accounts } = snapshotTable(kind)
      return {
        name: table,
        key: ['shard', 'position', first],
        values: [last, accounts, ...valuesOf(ACCOUNTS[kind])],
        fillfactor: 100,
      }
    }),
    ...ACCOUNT_KINDS.map(measureSnapshotTableOf),
  ],
  createFold: () => new SnapshotFold(),
}

class SnapshotFold implements Fold {
  readonly #totals = createAllTotals()
  readonly #measures = createAllMeasures()
  #postings = 0

  get size(): number {
    return ACCOUNT_KINDS.reduce((size, kind) => size + this.#totals[kind].size, 0)
  }

  add(entry: Entry): void {
    const { postings } = entry
    this.#postings += countPostings(entry)
    for (const some of postings) {
      this.#totals[some.kind].add(some)
      this.#measures[some.kind].add(some)
    }
  }

  *write(transaction: Transaction, target: WriteTarget) {
    const cost = EVENT_COST * (target.position - target.after) + this.#postings
    for (const kind of ACCOUNT_KINDS) {
      const shape = ACCOUNTS[kind]
      const columns = yield* gatherColumns(shape, this.#totals[kind].slices())
      yield writePages(transaction, target, shape, columns, cost)
      const measures = measureColumns(kind, this.#measures[kind])
      yield writeMeasurePages(transaction, target, kind, measures)
    }
  }
}

/** Unpacks snapshots `s` into rows `u (account, <values>)`, for use after `from`. */
export function unpack(transaction: Transaction, shape: AccountShape) {
  const { accounts } = snapshotTable(shape.kind)
  const values = valuesOf(shape)
  return transaction`
    lateral unnest(${listOf(transaction, [accounts, ...values], 's')})
      as u(account, ${listOf(transaction, values)})`
}

// A first page without accounts marks that the snapshot exists, even if it is empty. Not async: a
// query starts when it is awaited, so moving the checkpoint stays the first statement.
function writePages(
  transaction: Transaction,
  { shard, generation, after, position }: WriteTarget,
  shape: AccountShape,
  columns: readonly Column[],
  cost: number,
): Promise<unknown> {
  const { table, first, last, accounts } = snapshotTable(shape.kind)
  // Only the first page of provider groups has it: that table has the fewest pages.
  const hasCost = shape.kind === 'provider_group'
  const costs = hasCost ? [COST] : []
  const values = valuesOf(shape)
  const before = shape.type === 'text' ? `''` : '0'
  const none = [before, before, ...[accounts, ...values].map(() => `'{}'`)]
  const packed = values.map((name) => `array_agg(n.${name} order by n.account)`)
  return transaction`
    insert into ${transaction(table)}
      (shard, generation, position,
        ${listOf(transaction, [first, last, accounts, ...values, ...costs])})
    select
      ${shard}::integer, ${generation}::integer, ${position}::bigint, ${listOf(transaction, none)}
      ${hasCost ? costThrough(transaction, { shard, generation, after }, cost) : transaction``}
    union all
    select
      ${shard}, ${generation}, ${position}, min(n.account), max(n.account),
      array_agg(n.account order by n.account), ${listOf(transaction, packed)}
      ${hasCost ? transaction`, null::bigint` : transaction``}
    from (
      select
        t.account, ${totalOfRows(transaction, shape, 't')},
        (row_number() over (order by t.account) - 1) / ${PAGE_ACCOUNTS}::integer as page
      from (
        select u.account, ${listOf(transaction, values, 'u')}
        from ${transaction(table)} s
          cross join ${unpack(transaction, shape)}
        where s.shard = ${shard} and s.generation = ${generation} and s.position = ${after}
        union all
        select f.account, ${listOf(transaction, values, 'f')}
        from ${unnest(transaction, columns)}
      ) t
      group by t.account
    ) n
    group by n.page`
}

/** The column with what the events from the first one through a snapshot cost to fold. */
const COST = 'cost'

/** Adds the cost of the events since the snapshot before. An older release stores none. */
const costThrough = (
  transaction: Transaction,
  { shard, generation, after }: Pick<WriteTarget, 'shard' | 'generation' | 'after'>,
  cost: number,
) => transaction`
  , coalesce((
    select s.cost
    from ${transaction(snapshotTable('provider_group').table)} s
    where s.shard = ${shard} and s.generation = ${generation} and s.position <= ${after}
      and s.cost is not null
    order by s.position desc
    limit 1
  ), 0) + ${cost}::bigint`
