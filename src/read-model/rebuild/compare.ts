import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Table } from '../projections/projection.ts'
import type { Drift, DriftedRow } from './record.ts'

/** Maximum number of differing rows to report; all of them are counted. */
const MAX_REPORTED = 1_000

/**
 * Rows of each side fetched at a time. Few, because one row may be a whole page of a snapshot, with
 * thousands of numbers.
 */
const ROWS_AT_ONCE = 200

/** One side of a comparison: the connection to read it on, and its generation. */
export type Side = { sql: Sql | Transaction; generation: number }

/** The number of rows that differ, and the first of them. */
export type Differences = { rows: number; first: Drift[] }

/**
 * Compares two generations of a table row by row, in constant memory. Each side may be read in its
 * own transaction; the live side's snapshot must be at the positions through which the other side
 * is folded.
 */
export async function compareTable(table: Table, live: Side, rebuilt: Side): Promise<Differences> {
  const found: Differences = { rows: 0, first: [] }
  const note = (lives: Row | null, rebuilts: Row | null) => {
    found.rows++
    if (found.first.length >= MAX_REPORTED) return
    found.first.push({
      table: table.name,
      key: JSON.parse((lives ?? rebuilts)!.key),
      live: lives && shorten(JSON.parse(lives.values)),
      rebuilt: rebuilts && shorten(JSON.parse(rebuilts.values)),
    })
  }
  const lives = readRows(table, live)
  const rebuilts = readRows(table, rebuilt)
  let a = await next(lives)
  let b = await next(rebuilts)
  while (a || b) {
    const order = !a ? 1 : !b ? -1 : Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))
    if (order < 0) note(a, null)
    else if (order > 0) note(null, b)
    else if (a!.values !== b!.values) note(a, b)
    if (order <= 0) a = await next(lives)
    if (order >= 0) b = await next(rebuilts)
  }
  return found
}

type Row = { key: string; values: string }

/** Reads the rows of a generation, ordered by the bytes of their keys' text. */
async function* readRows({ name, key, values }: Table, { sql, generation }: Side) {
  const object = (columns: readonly string[]) => {
    const members = columns.map((column) => sql`${column}::text, t.${sql(column)}::text`)
    return members.length === 0 ? sql`` : members.reduce((all, one) => sql`${all}, ${one}`)
  }
  const rows = sql<Row[]>`
    select r.key, r.values
    from (
      select
        jsonb_build_object(${object(key)})::text as key,
        jsonb_build_object(${object(values)})::text as values
      from ${sql(name)} t
      where t.generation = ${generation}
    ) r
    order by r.key collate "C"`
  for await (const chunk of rows.cursor(ROWS_AT_ONCE)) yield* chunk
}

async function next(rows: AsyncGenerator<Row>): Promise<Row | null> {
  const { value, done } = await rows.next()
  return done ? null : value
}

/** Longer values are truncated: a page of a snapshot has thousands of numbers. */
const MAX_CHARACTERS = 200

function shorten(values: DriftedRow): DriftedRow {
  const entries = Object.entries(values).map(([name, value]) => [
    name,
    value !== null && value.length > MAX_CHARACTERS ? `${value.slice(0, MAX_CHARACTERS)}…` : value,
  ])
  return Object.fromEntries(entries)
}
