import {
  ACCOUNT_KINDS,
  ACCOUNTS,
  type AccountKind,
  type AccountShape,
} from '../../events/accounts.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { addToRow, type Column, listOf, toColumns, unnest } from './account-sql.ts'
import { toTextArray } from './array.ts'
import { createAllTotals } from './create-totals.ts'
import type { Entry } from './entry.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { joinSlices } from './slices.ts'
import type { Total, Totals } from './totals.ts'

/** The table with the usage of accounts of one kind. */
export const usageTable = (kind: AccountKind) => `${kind}_usage`

/**
 * What each account counted in each quarter hour, by the time of the append. Quarter hours, because
 * every time zone is a whole number of them from UTC: hours and days of any zone are sums of them.
 */
export const usage: Projection = {
  name: 'usage',
  version: 1,
  tables: ACCOUNT_KINDS.map((kind) => ({
    name: usageTable(kind),
    key: ['shard', ACCOUNTS[kind].id, 'quarter'],
    values: ACCOUNTS[kind].sums,
    fillfactor: 90,
  })),
  createFold: () => new UsageFold(),
}

type QuarterHour = { start: string; totals: Record<AccountKind, Totals> }

class UsageFold implements Fold {
  readonly #quarterHours = new Map<string, QuarterHour>()
  #newest: QuarterHour | null = null

  get size(): number {
    let size = 0
    for (const { totals } of this.#quarterHours.values()) {
      for (const kind of ACCOUNT_KINDS) size += totals[kind].size
    }
    return size
  }

  add({ postings, recordedAt }: Entry): void {
    if (postings.length === 0) return
    const { totals } = this.#quarterHourOf(recordedAt)
    for (const some of postings) totals[some.kind].add(some)
  }

  *write(transaction: Transaction, target: WriteTarget) {
    for (const kind of ACCOUNT_KINDS) {
      for (const rows of joinSlices(this.#rowsOf(kind))) {
        yield writeRows(transaction, target, ACCOUNTS[kind], rows)
      }
    }
  }

  *#rowsOf(kind: AccountKind): Generator<Row[]> {
    const { sums } = ACCOUNTS[kind]
    // A flush may report only an access.
    const isUsed = ({ values }: Total) => sums.some((_, i) => values[i] !== 0)
    for (const { start, totals } of this.#quarterHours.values()) {
      for (const slice of totals[kind].slices()) {
        yield slice.filter(isUsed).map((total) => ({ ...total, start }))
      }
    }
  }

  #quarterHourOf(recordedAt: string): QuarterHour {
    const start = startOfQuarterHour(recordedAt)
    if (this.#newest?.start === start) return this.#newest
    const quarter = this.#quarterHours.get(start) ?? { start, totals: createAllTotals() }
    this.#quarterHours.set(start, quarter)
    this.#newest = quarter
    return quarter
  }
}

/** Returns `2026-01-31T12:15:00+00:00` for `2026-01-31T12:29:59.999999+00:00`. */
export function startOfQuarterHour(recordedAt: string): string {
  const minute = Number(recordedAt.slice(14, 16))
  const quarter = String(minute - (minute % 15)).padStart(2, '0')
  return `${recordedAt.slice(0, 14)}${quarter}:00+00:00`
}

type Row = Total & { start: string }

function writeRows(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  shape: AccountShape,
  rows: Row[],
): Promise<unknown> {
  const summed = { ...shape, maxima: [] }
  const id = transaction(shape.id)
  const starts = toTextArray(rows, ({ start }) => start)
  const quarters: Column = { name: 'quarter', type: 'timestamptz', text: starts }
  return transaction`
    insert into ${transaction(usageTable(shape.kind))} as u
      (shard, generation, ${id}, quarter, ${listOf(transaction, shape.sums)})
    select
      s.shard, ${generation}, f.account, f.quarter, ${listOf(transaction, shape.sums, 'f')}
    from shards s
      cross join ${unnest(transaction, [...toColumns(summed, rows), quarters])}
    where s.shard = ${shard}
    on conflict (shard, generation, ${id}, quarter) do update set
      ${addToRow(transaction, summed, 'u')}`
}
