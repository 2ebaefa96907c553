import {
  ACCOUNT_KINDS,
  ACCOUNTS,
  type AccountKind,
  type AccountShape,
} from '../../events/accounts.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { addToRow, type Column, listOf, toColumns, unnest } from './account-sql.ts'
import { toArray, toTextArray } from './array.ts'
import { endOfBlock, NO_QUARTER } from './backdated.ts'
import { createAllTotals } from './create-totals.ts'
import {
  type BackdatedPartRow,
  type PartRow,
  partsTablesOf,
  writeBackdatedParts,
  writeParts,
} from './detail-rows.ts'
import { createAllParts, type PartTotals } from './detail-totals.ts'
import type { Entry } from './entry.ts'
import { addToPeriods, quotaQuarterOf } from './period-usage.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'
import { rolledUpTablesOf } from './rolled-up.ts'
import { cutRows, joinSlices } from './slices.ts'
import type { Total, Totals } from './totals.ts'

/** The table with the usage of accounts of one kind, and the one with their backdated usage. */
export const usageTable = (kind: AccountKind) => `${kind}_usage`
export const backdatedTable = (kind: AccountKind) => `${kind}_backdated_usage`

/**
 * What each account counted in each quarter hour. Quarter hours, because every time zone is a whole
 * number of them from UTC: hours and days of any zone are sums of them.
 *
 * Usage is what was counted when it was recorded: a quarter hour that is over never changes.
 * Backdated usage is everything else, with the position through which it was recorded, so that a
 * read of the past can leave out what came later: that of an act, or the last one of a block of
 * flushes. Together they are the growth of the counters.
 *
 * What has dimensions or measures is, besides, counted in parts: by combination of values.
 */
export const usage: Projection = {
  name: 'usage',
  version: 1,
  tables: [
    ...ACCOUNT_KINDS.map((kind) => ({
      name: usageTable(kind),
      key: ['shard', ACCOUNTS[kind].id, 'quarter'],
      values: ACCOUNTS[kind].sums,
      fillfactor: 90,
    })),
    ...ACCOUNT_KINDS.map((kind) => ({
      name: backdatedTable(kind),
      key: ['shard', ACCOUNTS[kind].id, 'quarter', 'position'],
      values: ACCOUNTS[kind].sums,
      fillfactor: null,
    })),
    ...ACCOUNT_KINDS.flatMap(partsTablesOf),
    ...ACCOUNT_KINDS.flatMap(rolledUpTablesOf),
  ],
  createFold: () => new UsageFold(),
}

type QuarterHour = {
  start: string
  /** The quarter hour in which quota periods count it; null if they do not. */
  quotaQuarter: string | null
  totals: Record<AccountKind, Totals>
  parts: Record<AccountKind, PartTotals>
}
type Backdated = QuarterHour & { position: number }

class UsageFold implements Fold {
  readonly #quarterHours = new Map<string, QuarterHour>()
  #newest: QuarterHour | null = null
  /** What acts and flushes backdate, by position and quarter hour; they may share both. */
  readonly #acts = new Map<string, Backdated>()
  readonly #flushes = new Map<string, Backdated>()

  get size(): number {
    let size = 0
    for (const rows of [this.#quarterHours, this.#acts, this.#flushes]) {
      for (const { totals, parts } of rows.values()) {
        for (const kind of ACCOUNT_KINDS) size += totals[kind].size + parts[kind].size
      }
    }
    return size
  }

  add(entry: Entry): void {
    let timely: QuarterHour | null = null
    for (const some of entry.postings) {
      if (some.countedAt === undefined) timely ??= this.#quarterHourOf(entry.recordedAt)
      const { totals, parts } =
        some.countedAt === undefined ? timely! : this.#backdatedOf(entry, some.countedAt)
      totals[some.kind].add(some)
      if (some.details !== undefined) parts[some.kind].add(some)
    }
  }

  *write(transaction: Transaction, target: WriteTarget) {
    if (this.#acts.size + this.#flushes.size > 0) yield noteBackdated(transaction, target)
    for (const kind of ACCOUNT_KINDS) {
      for (const rows of joinSlices(this.#rowsOf(kind))) {
        yield writeRows(transaction, target, ACCOUNTS[kind], rows)
      }
      for (const backdated of [this.#acts, this.#flushes]) {
        for (const rows of joinSlices(this.#backdatedRowsOf(backdated, kind))) {
          yield writeBackdated(transaction, target, ACCOUNTS[kind], rows)
        }
        for (const rows of cutRows(this.#backdatedPartsOf(backdated, kind))) {
          yield writeBackdatedParts(transaction, target, kind, rows)
        }
      }
      for (const rows of cutRows(this.#partsOf(kind))) {
        yield writeParts(transaction, target, kind, rows)
      }
    }
  }

  writeLast(transaction: Transaction, target: WriteTarget): Promise<void> {
    const all = [this.#quarterHours, this.#acts, this.#flushes].flatMap((rows) => [
      ...rows.values(),
    ])
    const used = all.map(({ quotaQuarter, totals }) => ({ quotaQuarter, totals: totals.key }))
    return addToPeriods(transaction, target, used)
  }

  *#rowsOf(kind: AccountKind): Generator<UsageRow[]> {
    for (const { start, totals } of this.#quarterHours.values()) {
      for (const slice of totals[kind].slices()) {
        yield slice.filter(isUsed).map((total) => ({ ...total, start }))
      }
    }
  }

  *#backdatedRowsOf(
    backdated: ReadonlyMap<string, Backdated>,
    kind: AccountKind,
  ): Generator<BackdatedRow[]> {
    for (const { start, position, totals } of backdated.values()) {
      for (const slice of totals[kind].slices()) {
        yield slice.filter(isUsed).map((total) => ({ ...total, start, position }))
      }
    }
  }

  *#partsOf(kind: AccountKind): Generator<PartRow> {
    for (const { start, parts } of this.#quarterHours.values()) {
      for (const total of parts[kind].entries()) yield { ...total, start }
    }
  }

  *#backdatedPartsOf(
    backdated: ReadonlyMap<string, Backdated>,
    kind: AccountKind,
  ): Generator<BackdatedPartRow> {
    for (const { start, position, parts } of backdated.values()) {
      for (const total of parts[kind].entries()) yield { ...total, start, position }
    }
  }

  #backdatedOf(entry: Entry, countedAt: string | null): Backdated {
    const start = countedAt === null ? NO_QUARTER : startOfQuarterHour(countedAt)
    const backdated = entry.act === null ? this.#flushes : this.#acts
    const position = entry.act === null ? endOfBlock(entry.position) : entry.position
    const key = `${position}/${start}`
    const found = backdated.get(key) ?? {
      ...{ position, ...createQuarterHour(start) },
      quotaQuarter: quotaQuarterOf(start, entry.act),
    }
    backdated.set(key, found)
    return found
  }

  #quarterHourOf(recordedAt: string): QuarterHour {
    const start = startOfQuarterHour(recordedAt)
    if (this.#newest?.start === start) return this.#newest
    const quarter = this.#quarterHours.get(start) ?? createQuarterHour(start)
    this.#quarterHours.set(start, quarter)
    this.#newest = quarter
    return quarter
  }
}

const createQuarterHour = (start: string): QuarterHour => ({
  ...{ start, quotaQuarter: start, totals: createAllTotals(), parts: createAllParts() },
})

/** What an account counted in the quarter hour that begins at `start`. */
export type UsageRow = Total & { start: string }
type BackdatedRow = UsageRow & { position: number }

/** Usage has no maxima. */
const summedOnly = (shape: AccountShape): AccountShape => ({ ...shape, maxima: [] })

/** Converts usage to columns: `account`, the sums of the shape, and `quarter`. */
export const usageColumns = (shape: AccountShape, rows: readonly UsageRow[]): Column[] => [
  ...toColumns(summedOnly(shape), rows),
  { name: 'quarter', type: 'timestamptz', text: toTextArray(rows, ({ start }) => start) },
]

/** False for a total of only an access, which is the last value of a token key. */
const isUsed = ({ account, values }: Total) =>
  values.slice(0, typeof account === 'number' ? 2 : 3).some((value) => Number(value) !== 0)

function writeRows(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  shape: AccountShape,
  rows: UsageRow[],
): Promise<unknown> {
  const id = transaction(shape.id)
  return transaction`
    insert into ${transaction(usageTable(shape.kind))} as u
      (shard, generation, ${id}, quarter, ${listOf(transaction, shape.sums)})
    select
      s.shard, ${generation}, f.account, f.quarter, ${listOf(transaction, shape.sums, 'f')}
    from shards s
      cross join ${unnest(transaction, usageColumns(shape, rows))}
    where s.shard = ${shard}
    on conflict (shard, generation, ${id}, quarter) do update set
      ${addToRow(transaction, summedOnly(shape), 'u')}`
}

function noteBackdated(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
): Promise<unknown> {
  return transaction`
    update checkpoints c
    set has_backdated = true
    where c.shard = ${shard} and c.projection = ${usage.name} and c.generation = ${generation}
      and not c.has_backdated`
}

function writeBackdated(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  shape: AccountShape,
  rows: BackdatedRow[],
): Promise<unknown> {
  const id = transaction(shape.id)
  const columns: Column[] = [
    ...usageColumns(shape, rows),
    { name: 'position', type: 'bigint', text: toArray(rows, ({ position }) => position) },
  ]
  return transaction`
    insert into ${transaction(backdatedTable(shape.kind))} as u
      (shard, generation, ${id}, quarter, position, ${listOf(transaction, shape.sums)})
    select
      s.shard, ${generation}, f.account, f.quarter, f.position,
      ${listOf(transaction, shape.sums, 'f')}
    from shards s
      cross join ${unnest(transaction, columns)}
    where s.shard = ${shard}
    on conflict (generation, ${id}, quarter, shard, position) do update set
      ${addToRow(transaction, summedOnly(shape), 'u')}`
}
