import type { DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { BLOCK, endOfBlock } from '../../verifier/backdated.ts'
import { ShardFold } from '../../verifier/fold.ts'
import { quarterHourOf } from '../../verifier/usage-time.ts'
import { compareRows } from '../compare.ts'
import type { Problem } from '../problem.ts'
import { attestedTable, type Target } from '../tables.ts'
import { backdatedUnits, compareUnits, timelyUnits } from './compare-units.ts'
import type { ProjectionGroup, Settled, Targets } from './group.ts'
import { PeriodRows } from './periods.ts'
import {
  FAMILIES,
  type Kept,
  RolledUpRows,
  readKept,
  startOf,
  TIMELY,
  UNITS,
  type Unit,
  UnitEnds,
} from './rolled-up-usage.ts'

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

const eachUnit = <T>(create: (unit: Unit) => T): Record<Unit, T> => ({
  day: create('day'),
  month: create('month'),
})

/**
 * Checks what was counted in each bucket of 15 minutes, or each day or month where usage is kept by
 * these. No usage is moved during the check (see `openSession`).
 */
export class UsageGroup implements ProjectionGroup {
  readonly projections = [
    {
      ...{ projection: 'usage', version: 1 },
      tables: [
        ...[...TABLES, ...BACKDATED, ...BACKDATED_PARTS].map(attestedTable),
        ...FAMILIES.flatMap(({ by }) => UNITS.map((unit) => by[unit])),
      ],
    },
  ]
  readonly #fold = new ShardFold({ counters: false, usage: true, catalog: false })
  readonly #periods = new PeriodRows()
  readonly #ends = eachUnit((unit) => new UnitEnds(unit))
  /** The rows of days and months that were not compared yet, and when the first of them began. */
  readonly #units = eachUnit(
    (unit) => new Map(FAMILIES.map((family) => [family, new RolledUpRows(family.by[unit])])),
  )
  readonly #unitsFrom = eachUnit(() => '-infinity')
  /** The start of the first bucket that was not compared or added to a unit; null if none was. */
  #from: string | null = null
  /** The position through which backdated usage was compared. */
  #after = -1
  #hasBackdated = false

  constructor(private readonly maxBackdatedRows = MAX_BACKDATED_ROWS) {}

  add(event: Event | null, position: number, recordedAt: string): void {
    this.#fold.add(event, position, recordedAt)
    this.#periods.add(event, position, recordedAt)
    for (const unit of UNITS) this.#ends[unit].add(position, recordedAt)
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

  /** The last position of backdated usage in complete blocks, or in complete units if kept so. */
  async #endOfSettled(sql: Transaction, target: Target | undefined, position: number) {
    const through = endOfBlock(position + 1) - BLOCK
    const kept = target && (await readKept(sql, target))
    const unit = kept && UNITS.findLast((unit) => through < kept[unit].through)
    return unit ? this.#ends[unit].lastThrough(through) : through
  }

  /** Compares the buckets before `before`, or (null) all that are left. */
  async #compareTimely(
    sql: Transaction,
    target: Target,
    before: string | null,
  ): Promise<Problem[]> {
    const kept = await readKept(sql, target)
    const problems: Problem[] = []
    for (const unit of UNITS) {
      problems.push(...(await this.#compareTimelyUnits(sql, target, kept, unit, before)))
    }
    const from = later(this.#from ?? '-infinity', kept.day.before)
    if (before !== null && before <= from) return problems
    const range = {
      condition: `t.quarter >= $3::timestamptz${before ? ' and t.quarter < $4::timestamptz' : ''}`,
      parameters: [from, ...(before ? [before] : [])],
    }
    const selection = { from, before: before ?? undefined }
    for (const name of TABLES) {
      const rows = this.#fold.rows(name, selection)
      problems.push(...(await compareRows(sql, attestedTable(name), target, rows, range)))
    }
    return problems
  }

  /** Adds buckets to their days or months, and compares those that are over, or (null) all. */
  async #compareTimelyUnits(
    sql: Transaction,
    target: Target,
    kept: Kept,
    unit: Unit,
    before: string | null,
  ): Promise<Problem[]> {
    const isLast = before === null
    const keptBefore = kept[unit].before
    if (!isLast && this.#unitsFrom[unit] >= keptBefore) return []
    // What is kept by months is not kept by days.
    const first = unit === 'day' ? kept.month.before : '-infinity'
    const end = isLast || before > keptBefore ? keptBefore : before
    for (const [{ timely }, rows] of this.#units[unit]) {
      const selection = { from: later(this.#from ?? '-infinity', first), before: end }
      for (const row of this.#fold.rows(timely as (typeof TABLES)[number], selection)) {
        const [account, bucket, ...rest] = row
        rows.add([account!, bucket!, TIMELY, ...rest])
      }
    }
    const from = later(this.#unitsFrom[unit], first)
    const over = end === '-infinity' ? end : startOf(unit, end)
    if (!isLast && over <= from) return []
    const problems: Problem[] = []
    for (const [family, rows] of this.#units[unit]) {
      const expected = rows.take((start) => start < over)
      const selection = timelyUnits(family, unit, { from, before: over, isLast })
      problems.push(...(await compareUnits(sql, family.by[unit], target, expected, selection)))
    }
    this.#unitsFrom[unit] = over
    return problems
  }

  async #compareBackdated(sql: Transaction, target: Target, through: number): Promise<Problem[]> {
    const kept = await readKept(sql, target)
    const range = {
      condition: `t.position > $3::bigint and t.position <= $4::bigint and not (
        t.position <= $5::bigint and isfinite(t.quarter) and t.quarter < $6::timestamptz)`,
      parameters: [this.#after, through, kept.day.through, kept.day.before],
    }
    const isLast = through === Number.MAX_SAFE_INTEGER
    const problems: Problem[] = []
    for (const family of FAMILIES) {
      const name = family.backdated as (typeof BACKDATED | typeof BACKDATED_PARTS)[number]
      const rows = [...this.#fold.rows(name, { after: this.#after, through })]
      this.#hasBackdated ||= rows.length > 0
      if (name === 'key_backdated_usage') this.#periods.addBackdated(rows)
      const byUnits = eachUnit((unit) => new RolledUpRows(family.by[unit]))
      const byQuarters = rows.filter((row) => {
        const [account, bucket, position, ...rest] = row as [DigestValue, string, number]
        const found = this.#findUnit(kept, bucket, position)
        if (found === null) return true
        byUnits[found.unit].add([account, bucket, found.end, ...rest])
        return false
      })
      problems.push(...(await compareRows(sql, attestedTable(name), target, byQuarters, range)))
      for (const unit of UNITS) {
        const end = Math.min(through, kept[unit].through)
        const within = { after: this.#after, through: end, isLast }
        const selection = backdatedUnits(family, unit, kept, within, this.#ends[unit].all)
        const expected = byUnits[unit].take()
        problems.push(...(await compareUnits(sql, family.by[unit], target, expected, selection)))
      }
    }
    return problems
  }

  /** Returns by which unit backdated usage is kept, and where; null for quarter hours. */
  #findUnit(kept: Kept, bucket: string, position: number): { unit: Unit; end: number } | null {
    if (bucket === '-infinity') return null
    for (const unit of UNITS.toReversed()) {
      const end = this.#ends[unit].endFor(position)
      if (bucket < kept[unit].before && end !== null && end <= kept[unit].through) {
        return { unit, end }
      }
    }
    return null
  }
}

const later = (a: string, b: string) => (a > b ? a : b)
