import type { DigestValue } from '../../../events/digest.ts'
import { addExact, type Exact, toExact } from '../../../events/exact.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../../platform/postgres/timestamp.ts'
import { endOfBlock } from '../../verifier/backdated.ts'
import { compareKeys } from '../../verifier/exact-sums.ts'
import { mergeRows, placeOf, toText } from '../compare.ts'
import type { Problem } from '../problem.ts'
import type { ProjectionTable, Target } from '../tables.ts'

/** The position of rows by days of what was counted when it was recorded. */
export const TIMELY = -1

const KINDS = [
  { kind: 'api_key', id: 'api_key_id', sums: ['requests', 'successes'] },
  { kind: 'provider_group', id: 'provider_group_id', sums: ['requests', 'successes'] },
  { kind: 'key', id: 'token_hash', sums: ['requests', 'tokens', 'quota_used'] },
]

/** A table with usage by days. `of` names the tables by quarter hours from which rows are moved. */
export type DailyTable = ProjectionTable & { of: { timely: string; backdated: string } }

export const DAILY_TABLES: readonly DailyTable[] = KINDS.flatMap(({ kind, id, sums }) => [
  {
    name: `${kind}_daily_usage`,
    key: [id, 'quarter', 'position'],
    values: sums,
    isSharded: true,
    of: { timely: `${kind}_usage`, backdated: `${kind}_backdated_usage` },
  },
  {
    name: `${kind}_daily_parts`,
    key: [id, 'quarter', 'position', 'combination'],
    values: [...sums, 'measures'],
    isSharded: true,
    of: { timely: `${kind}_parts`, backdated: `${kind}_backdated_parts` },
  },
])

/** How far usage is kept by days: `before` as in a digest row, null if none is. */
export type Kept = { before: string | null; through: number }

export async function readKept(sql: Transaction, target: Target): Promise<Kept> {
  const [row] = await sql<{ before: string | null; through: string }[]>`
    select
      case when isfinite(c.daily_before)
        then ${sql.unsafe(toMicroseconds('c.daily_before'))}
      end as before,
      c.daily_through as through
    from checkpoints c
    where c.shard = ${target.shard} and c.projection = 'usage'
      and c.generation = ${target.generation}`
  return { before: row?.before ?? null, through: Number(row?.through ?? -1) }
}

/** Returns the start of the day of a bucket. */
export const dayOf = (bucket: string) => `${bucket.slice(0, 10)}T00:00:00.000000+00:00`

/** The ends of the last blocks of positions that were recorded on each day. */
export class DayEnds {
  readonly #days: { day: string; end: number }[] = []

  /** Notes an event, in the order of positions. */
  add(position: number, recordedAt: string): void {
    if (endOfBlock(position) !== position) return
    const day = recordedAt.slice(0, 10)
    const last = this.#days.at(-1)
    if (last?.day === day) last.end = position
    else this.#days.push({ day, end: position })
  }

  get all(): readonly number[] {
    return this.#days.map(({ end }) => end)
  }

  /** Returns the first end at or after a position: where backdated usage at it is kept by days. */
  endFor(position: number): number | null {
    let [low, high] = [0, this.#days.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#days[middle]!.end < position) low = middle + 1
      else high = middle
    }
    return this.#days[low]?.end ?? null
  }

  /** Returns the last end at or before a position that no later event can move; -1 for none. */
  lastThrough(position: number): number {
    return (
      this.#days.findLast(({ end }, i) => end <= position && i < this.#days.length - 1)?.end ?? -1
    )
  }
}

/** Rows that a table by days must have, added up. */
export class DailyRows {
  readonly #rows = new Map<string, DigestValue[]>()

  constructor(private readonly table: DailyTable) {}

  get size(): number {
    return this.#rows.size
  }

  /** Adds a row: account, bucket, position, combination if there is one, and the values. */
  add(row: readonly DigestValue[]): void {
    const { key } = this.table
    const own = [row[0]!, dayOf(String(row[1])), ...row.slice(2)]
    const name = JSON.stringify(own.slice(0, key.length))
    const found = this.#rows.get(name)
    if (found === undefined) this.#rows.set(name, own)
    else addInto(found, own, key.length)
  }

  /** Returns rows of some days in the order of the table's key, and forgets them. */
  take(isTaken: (day: string) => boolean = () => true): DigestValue[][] {
    const rows: DigestValue[][] = []
    for (const [name, row] of this.#rows) {
      if (!isTaken(row[1] as string)) continue
      rows.push(row)
      this.#rows.delete(name)
    }
    return rows.sort((a, b) => this.#compare(a, b))
  }

  #compare(a: DigestValue[], b: DigestValue[]): number {
    for (let i = 0; i < this.table.key.length; i++) {
      const order = compareKeys(a[i] as number | string, b[i] as number | string)
      if (order !== 0) return order
    }
    return 0
  }
}

function addInto(sums: DigestValue[], values: readonly DigestValue[], first: number): void {
  for (let i = first; i < values.length; i++) {
    const [sum, value] = [sums[i]!, values[i]!]
    if (Array.isArray(sum)) sums[i] = addMeasures(sum, value as readonly Exact[])
    else sums[i] = addExact(sum as Exact, value as Exact)
  }
}

const addMeasures = (a: readonly Exact[], b: readonly Exact[]): Exact[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => addExact(a[i] ?? 0, b[i] ?? 0))

/** SQL: a condition on the table by days, and one on that by quarter hours, and its position. */
type Selection = {
  from: string
  daily: string
  quarters: string
  position: string
  parameters: (string | number | number[])[]
}

/**
 * Selects what was counted when it was recorded, in days from `from` on, before `before`. `isLast`
 * selects rows of all later days besides: there must be none.
 */
export const timelyDays = (
  { of }: DailyTable,
  { from, before, isLast }: { from: string; before: string; isLast: boolean },
): Selection => ({
  from: of.timely,
  daily: `t.position = ${TIMELY} and t.quarter >= $3::timestamptz
    and (${isLast} or t.quarter < $4::timestamptz)`,
  quarters: 't.quarter >= $3::timestamptz and t.quarter < $4::timestamptz',
  position: `${TIMELY}::bigint`,
  parameters: [from, before],
})

/**
 * Selects backdated usage that was recorded after `after` through `through`, and is kept by days.
 * `isLast` selects all other rows by days besides: there must be none.
 */
export const backdatedDays = (
  { of }: DailyTable,
  { before }: Kept,
  { after, through, isLast }: { after: number; through: number; isLast: boolean },
  ends: readonly number[],
): Selection => ({
  from: of.backdated,
  daily: `(
    t.position > $3::bigint and t.position > ${TIMELY} and (${isLast} or t.position <= $4::bigint)
    or ${isLast} and t.position < ${TIMELY}
  )`,
  quarters: `t.position > $3::bigint and t.position <= $4::bigint and isfinite(t.quarter)
    and t.quarter < $5::timestamptz`,
  position: '($6::bigint[])[width_bucket(t.position - 1, $6::bigint[]) + 1]',
  parameters: [after, through, before ?? '-infinity', [...ends]],
})

/**
 * Compares rows by days with the expected ones. What was not moved yet from the table by quarter
 * hours is added up as if it had been: readers see the same.
 */
export async function compareDays(
  sql: Transaction,
  table: DailyTable,
  { shard, generation }: Target,
  expected: Iterable<readonly DigestValue[]>,
  { from, daily, quarters, position, parameters }: Selection,
): Promise<Problem[]> {
  const [id] = table.key
  const rest = [...table.key.slice(3), ...table.values]
  const isOwn = 't.generation = $1 and t.shard = $2'
  const texts = ['token_hash', 'combination']
  const order = table.key.map((key) => `t.${key}${texts.includes(key) ? ' collate "C"' : ''}`)
  const columns = [...table.key, ...table.values]
  const rows = sql
    .unsafe(
      `
      select ${columns.map(toText).join(', ')}
      from (
        select t.${id}, t.quarter, t.position, ${rest.map((name) => `t.${name}`).join(', ')}
        from ${table.name} t
        where ${isOwn} and ${daily}
        union all
        select t.${id}, date_trunc('day', t.quarter, 'UTC'), ${position},
          ${rest.map((name) => `t.${name}`).join(', ')}
        from ${from} t
        where ${isOwn} and ${quarters}
      ) t
      order by ${order.join(', ')}`,
      [generation, shard, ...parameters] as never[],
    )
    .raw()
  const comparison = { ...table, check: 'refold' as const, place: placeOf(table, shard) }
  return mergeRows({ forEach: (take) => addUp(rows, table, take) }, expected, comparison)
}

/** Passes on rows, of which those with the same key are added up. */
async function addUp(
  rows: { forEach(take: (row: unknown) => void): Promise<unknown> },
  { key }: DailyTable,
  take: (row: unknown) => void,
): Promise<void> {
  let last: (string | null)[] | null = null
  await rows.forEach((found) => {
    const row = (found as (Buffer | null)[]).map((value) => value?.toString() ?? null)
    if (last === null || key.some((_, i) => last![i] !== row[i])) {
      if (last !== null) take(last)
      last = row
      return
    }
    const sums = last.map(toValue)
    addInto(sums, row.map(toValue), key.length)
    last = sums.map((sum, i) => (i < key.length ? last![i]! : formatValue(sum)))
  })
  if (last !== null) take(last)
}

/** Values are numbers, or lists of them. Keys are not used. */
const toValue = (text: string | null): DigestValue =>
  text?.startsWith('[')
    ? (JSON.parse(`[${quoted(text)}]`) as string[]).map(toExact)
    : toExactOr(text)

const toExactOr = (text: string | null) => (/^-?\d+$/.test(text ?? '') ? toExact(text!) : text)
const quoted = (list: string) => list.slice(1, -1).replace(/-?\d+/g, '"$&"')
const formatValue = (value: DigestValue) =>
  Array.isArray(value) ? `[${value.join(',')}]` : String(value)
