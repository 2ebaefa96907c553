import type { DigestValue } from '../../events/digest.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { compareKeys } from '../verifier/exact-sums.ts'
import { type Check, MAX_PROBLEMS, type Problem } from './problem.ts'
import type { ProjectionTable, Target } from './tables.ts'

const TIMES = ['quarter', 'ended_at', 'first_seen', 'last_seen', 'reset_at']
const TEXTS = [
  ...['token_hash', 'name', 'kind', 'account', 'type', 'reason', 'quota_period', 'quota_tz'],
  ...['unit', 'combination', 'rule', 'subject_kind', 'subject_id'],
]

/** An SQL condition on the compared rows `t`; its parameters start at $3. */
export type RowRange = { condition: string; parameters: (string | number)[] }

/** A row as text, one value per column; null for SQL's null. */
type FoundRow = readonly (string | null)[]

/**
 * Compares the rows of a projection's table with the rows recomputed from the log, which must be
 * sorted by key. Reports rows that differ, are missing, or should not exist. Rows arrive as a
 * stream, so memory does not grow with the table.
 */
export async function compareRows(
  sql: Sql | Transaction,
  table: ProjectionTable,
  { shard, generation }: Target,
  expected: Iterable<readonly DigestValue[]>,
  range: RowRange = { condition: 'true', parameters: [] },
): Promise<Problem[]> {
  const columns = [...table.key, ...table.values]
  const order = table.key.map((column) => `t.${column}${isText(column) ? ' collate "C"' : ''}`)
  const rows = sql
    .unsafe(
      `
      select ${columns.map(toText).join(', ')}
      from ${table.name} t
      where t.generation = $1 and ${table.isSharded ? 't.shard = $2' : '$2::integer is not null'}
        and ${range.condition}
      order by ${order.join(', ')}`,
      [generation, shard, ...range.parameters],
    )
    .raw()
  return mergeRows(rows, expected, { ...table, check: 'refold', place: placeOf(table, shard) })
}

/** Returns what names the place of a row of a table, which begins with its key. */
export const placeOf =
  ({ name, key, isSharded }: ProjectionTable, shard: number) =>
  (row: FoundRow): string => {
    const names = key.map((column, i) => (TIMES.includes(column) ? toTimestamp(row[i]!) : row[i]))
    return `${name} ${[...(isSharded ? [shard] : []), ...names].join('/')}`
  }

/** How two lists of rows are compared, and how a difference is reported. */
export type Comparison = Pick<ProjectionTable, 'key' | 'values'> & {
  check: Check
  /** Returns the place of a row for the report. A row may have more columns than are compared. */
  place: (row: FoundRow) => string
}

/** Compares rows, as they arrive, with the expected ones. Both must be sorted by key. */
export async function mergeRows(
  rows: { forEach(take: (row: unknown) => void): Promise<unknown> },
  expected: Iterable<readonly DigestValue[]>,
  comparison: Comparison,
): Promise<Problem[]> {
  const merge = new Merge(comparison, expected[Symbol.iterator]())
  await rows.forEach((row) => {
    // The driver's types do not cover rows that are lists of columns.
    merge.take((row as (Buffer | null)[]).map((value) => value?.toString() ?? null))
  })
  return merge.end()
}

const isText = (column: string) => TEXTS.includes(column)

/**
 * A column in the format of a fold: times are RFC 3339 in UTC with microseconds. PostgreSQL formats
 * infinity as null, which must not look like a missing time.
 */
export const toText = (column: string) =>
  TIMES.includes(column)
    ? `coalesce(${toMicroseconds(`t.${column}`)}, t.${column}::text)`
    : column === 'measures'
      ? 'array_to_json(t.measures)::text'
      : `t.${column}::text`

/** A merge of expected and found rows by their keys. */
class Merge {
  readonly #problems: Problem[] = []
  readonly #columns: number
  #next: readonly DigestValue[] | null

  constructor(
    private readonly comparison: Comparison,
    private readonly expected: Iterator<readonly DigestValue[]>,
  ) {
    this.#columns = comparison.key.length + comparison.values.length
    this.#next = this.#advance()
  }

  take(found: FoundRow): void {
    while (this.#next !== null) {
      const order = this.#compareKeys(this.#next, found)
      if (order > 0) break
      const expected = this.#next
      this.#next = this.#advance()
      if (order < 0) {
        this.#report(expected, null)
        continue
      }
      if (!this.#isEqual(expected, found)) this.#report(expected, found)
      return
    }
    this.#report(null, found)
  }

  end(): Problem[] {
    for (; this.#next !== null; this.#next = this.#advance()) this.#report(this.#next, null)
    return this.#problems
  }

  #advance(): readonly DigestValue[] | null {
    const { done, value } = this.expected.next()
    return done ? null : value
  }

  #isEqual(expected: readonly DigestValue[], found: FoundRow): boolean {
    for (let i = 0; i < this.#columns; i++) if (toFound(expected[i]!) !== found[i]) return false
    return true
  }

  #compareKeys(expected: readonly DigestValue[], found: FoundRow): number {
    for (const [i, column] of this.comparison.key.entries()) {
      const isName = isText(column) || TIMES.includes(column)
      const order = isName
        ? compareKeys(String(expected[i]), found[i]!)
        : Number(expected[i]) - Number(found[i])
      if (order !== 0) return order
    }
    return 0
  }

  #report(expected: readonly DigestValue[] | null, found: FoundRow | null): void {
    if (this.#problems.length >= MAX_PROBLEMS) return
    const { check, place } = this.comparison
    this.#problems.push({
      check,
      at: place(expected?.map(toFound) ?? found!),
      expected: expected === null ? 'no row' : this.#describe(expected.map(toFound)),
      found: found === null ? 'no row' : this.#describe(found),
    })
  }

  /** `{"requests":10,"successes":9}` */
  #describe(row: FoundRow): string {
    const { key, values } = this.comparison
    const members = values.map((column, i) => {
      const value = row[key.length + i] ?? null
      const isNumber = !isText(column) && !TIMES.includes(column)
      return `"${column}":${isNumber ? value : JSON.stringify(value)}`
    })
    return `{${members.join(',')}}`
  }
}

function toFound(value: DigestValue): string | null {
  if (value === null) return null
  return Array.isArray(value) ? `[${value.join(',')}]` : String(value)
}

/** Turns `2026-01-31T12:15:00.000000+00:00` into PostgreSQL's `2026-01-31 12:15:00+00`. */
const toTimestamp = (time: string) => time.replace('T', ' ').replace(/\.?0*\+00:00$/, '+00')
