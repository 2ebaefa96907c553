import type { DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { BLOCK, endOfBlock } from '../../verifier/backdated.ts'
import { ShardFold } from '../../verifier/fold.ts'
import { quarterHourOf } from '../../verifier/usage-time.ts'
import { compareRows } from '../compare.ts'
import type { Problem } from '../problem.ts'
import { attestedTable, type Target } from '../tables.ts'
import {
  backdatedDays,
  compareDays,
  DAILY_TABLES,
  DailyRows,
  DayEnds,
  dayOf,
  type Kept,
  readKept,
  TIMELY,
  timelyDays,
} from './daily-usage.ts'
import type { ProjectionGroup, Settled, Targets } from './group.ts'
import { PeriodRows } from './periods.ts'

const TABLES = [
  ...(['api_key_usage', 'provider_group_usage', 'key_usage'] as const),
  ...(['api_key_parts', 'provider_group_parts', 'key_parts'] as const),
]
const BACKDATED = [
  'api_key_backdated_usage',
  'provider_group_backdated_usage',
  'key_backdated_usage',
] as const
const BACKDATED_PARTS = [
  'api_key_backdated_parts',
  'provider_group_backdated_parts',
  'key_backdated_parts',
] as const

/** Rows of backdated usage in memory beyond which those that are complete are compared. */
const MAX_BACKDATED_ROWS = 500_000

/** Checks that readers know that there is backdated usage. */
async function checkNoted(sql: Transaction, { shard, generation }: Target): Promise<Problem[]> {
  const rows = await sql`
    select
    from checkpoints c
    where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${generation}
      and c.has_backdated`
  if (rows.length > 0) return []
  const at = `checkpoints ${shard}/usage/${generation}`
  return [{ check: 'checkpoints', at, expected: 'has_backdated', found: 'not has_backdated' }]
}

/**
 * Checks what was counted in each bucket of 15 minutes, or each day where usage is kept by days. No
 * usage is moved to days during the check (see `openSession`).
 */
export class UsageGroup implements ProjectionGroup {
  readonly projections = [
    {
      ...{ projection: 'usage', version: 1 },
      tables: [
        ...[...TABLES, ...BACKDATED, ...BACKDATED_PARTS].map(attestedTable),
        ...DAILY_TABLES,
      ],
    },
  ]
  readonly #fold = new ShardFold({ counters: false, usage: true, catalog: false })
  readonly #periods = new PeriodRows()
  readonly #dayEnds = new DayEnds()
  /** The rows of days that were not compared yet, and when the first of these days began. */
  readonly #days = new Map(DAILY_TABLES.map((table) => [table, new DailyRows(table)]))
  #daysFrom = '-infinity'
  /** The start of the first bucket that was not compared or added to a day; null if none was. */
  #from: string | null = null
  /** The position through which backdated usage was compared. */
  #after = -1
  #hasBackdated = false

  constructor(private readonly maxBackdatedRows = MAX_BACKDATED_ROWS) {}

  add(event: Event | null, position: number, recordedAt: string): void {
    this.#fold.add(event, position, recordedAt)
    this.#periods.add(event, position, recordedAt)
    this.#dayEnds.add(position, recordedAt)
  }

  /** Time never decreases in a shard, so no later event counts in a bucket that is over. */
  async compareSettled(sql: Transaction, targets: Targets, position: number): Promise<Settled[]> {
    const target = targets.get('usage')
    const settled: Settled[] = []
    const compare = async (rows: () => Promise<Problem[]>) => {
      settled.push({ projection: 'usage', problems: target ? await rows() : [] })
    }
    const before = this.#fold.recordedAt === '' ? null : quarterHourOf(this.#fold.recordedAt)
    if (before !== null && (this.#from === null || before > this.#from)) {
      await compare(() => this.#compareTimely(sql, target!, before))
      this.#fold.forgetUsageBefore(before)
      this.#from = before
    }
    if (this.#fold.backdatedRows > this.maxBackdatedRows) {
      const through = await this.#endOfSettled(sql, target, position)
      if (through <= this.#after) return settled
      await compare(() => this.#compareBackdated(sql, target!, through))
      this.#fold.forgetBackdatedThrough(through)
      this.#after = through
    }
    return settled
  }

  async compare(sql: Transaction, _: string, target: Target): Promise<Problem[]> {
    const problems = [
      ...(await this.#compareTimely(sql, target, null)),
      ...(await this.#compareBackdated(sql, target, Number.MAX_SAFE_INTEGER)),
      ...(await this.#periods.compare(sql, target)),
    ]
    return this.#hasBackdated ? [...problems, ...(await checkNoted(sql, target))] : problems
  }

  /** Of backdated usage, the rows of blocks that are complete, and of days where it is kept so. */
  async #endOfSettled(sql: Transaction, target: Target | undefined, position: number) {
    const through = endOfBlock(position + 1) - BLOCK
    const kept = target && (await readKept(sql, target))
    return kept && through < kept.through ? this.#dayEnds.lastThrough(through) : through
  }

  /** Compares the buckets before `before`, or (null) all that are left. */
  async #compareTimely(
    sql: Transaction,
    target: Target,
    before: string | null,
  ): Promise<Problem[]> {
    const kept = await readKept(sql, target)
    const problems = await this.#compareTimelyDays(sql, target, kept, before)
    const from = later(this.#from, kept.before)
    if (before !== null && from !== null && before <= from) return problems
    const range = {
      condition: `t.quarter >= $3::timestamptz${before ? ' and t.quarter < $4::timestamptz' : ''}`,
      parameters: [from ?? '-infinity', ...(before ? [before] : [])],
    }
    const selection = { from: from ?? undefined, before: before ?? undefined }
    for (const name of TABLES) {
      const rows = this.#fold.rows(name, selection)
      problems.push(...(await compareRows(sql, attestedTable(name), target, rows, range)))
    }
    return problems
  }

  /** Adds buckets to their days, and compares the days that are over, or (null) all of them. */
  async #compareTimelyDays(
    sql: Transaction,
    target: Target,
    kept: Kept,
    before: string | null,
  ): Promise<Problem[]> {
    const isLast = before === null
    const keptBefore = kept.before ?? '-infinity'
    if (!isLast && this.#daysFrom >= keptBefore) return []
    const end = isLast || before > keptBefore ? keptBefore : before
    for (const [{ of }, days] of this.#days) {
      const name = of.timely as (typeof TABLES)[number]
      const selection = { from: this.#from ?? undefined, before: end }
      for (const [account, bucket, ...rest] of this.#fold.rows(name, selection)) {
        days.add([account!, bucket!, TIMELY, ...rest])
      }
    }
    const over = end === '-infinity' ? end : dayOf(end)
    if (!isLast && over <= this.#daysFrom) return []
    const problems: Problem[] = []
    for (const [table, days] of this.#days) {
      const rows = days.take((day) => day < over)
      const selection = timelyDays(table, { from: this.#daysFrom, before: over, isLast })
      problems.push(...(await compareDays(sql, table, target, rows, selection)))
    }
    this.#daysFrom = over
    return problems
  }

  async #compareBackdated(sql: Transaction, target: Target, through: number): Promise<Problem[]> {
    const kept = await readKept(sql, target)
    const range = {
      condition: `t.position > $3::bigint and t.position <= $4::bigint and not (
        t.position <= $5::bigint and isfinite(t.quarter) and t.quarter < $6::timestamptz)`,
      parameters: [this.#after, through, kept.through, kept.before ?? '-infinity'],
    }
    const problems: Problem[] = []
    for (const table of DAILY_TABLES) {
      const name = table.of.backdated as (typeof BACKDATED | typeof BACKDATED_PARTS)[number]
      const rows = [...this.#fold.rows(name, { after: this.#after, through })]
      this.#hasBackdated ||= rows.length > 0
      if (name === 'key_backdated_usage') this.#periods.addBackdated(rows)
      const byDays = new DailyRows(table)
      const byQuarters = rows.filter((row) => {
        const [account, bucket, position, ...rest] = row as [DigestValue, string, number]
        const end = this.#dayEnds.endFor(position)
        if (kept.before === null || bucket === '-infinity' || bucket >= kept.before) return true
        if (end === null || end > kept.through) return true
        byDays.add([account, bucket, end, ...rest])
        return false
      })
      problems.push(...(await compareRows(sql, attestedTable(name), target, byQuarters, range)))
      const isLast = through === Number.MAX_SAFE_INTEGER
      const days = { after: this.#after, through: Math.min(through, kept.through), isLast }
      const selection = backdatedDays(table, kept, days, this.#dayEnds.all)
      problems.push(...(await compareDays(sql, table, target, byDays.take(), selection)))
    }
    return problems
  }
}

const later = (a: string | null, b: string | null) =>
  a === null ? b : b === null ? a : a > b ? a : b
