import type { DigestValue } from '../../../events/digest.ts'
import { toExact } from '../../../events/exact.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { mergeRows, placeOf, toText } from '../compare.ts'
import type { Problem } from '../problem.ts'
import type { Target } from '../tables.ts'
import {
  addInto,
  type Family,
  type Kept,
  type RolledUpTable,
  TIMELY,
  type Unit,
} from './rolled-up-usage.ts'

/** SQL: which rows of a table are compared, or are yet to be moved, and where these belong. */
type Source = { table: string; condition: string; position: string }
type Selection = {
  own: string
  /** Rows of other tables that are yet to be moved. */
  sources: Source[]
  parameters: (string | number | number[])[]
}

/**
 * Selects what was counted when it was recorded, in days or months from `from` on, before `before`.
 * `isLast` selects rows of all later ones besides: there must be none.
 */
export function timelyUnits(
  { timely, by }: Family,
  unit: Unit,
  { from, before, isLast }: { from: string; before: string; isLast: boolean },
): Selection {
  const isWithin = 't.quarter >= $3::timestamptz and t.quarter < $4::timestamptz'
  const position = `${TIMELY}::bigint`
  const days = { table: by.day.name, condition: `t.position = ${TIMELY} and ${isWithin}`, position }
  return {
    own: `t.position = ${TIMELY} and t.quarter >= $3::timestamptz
      and (${isLast} or t.quarter < $4::timestamptz)`,
    sources: [
      { table: timely, condition: isWithin, position },
      ...(unit === 'month' ? [days] : []),
    ],
    parameters: [from, before],
  }
}

/**
 * Selects backdated usage that was recorded after `after` through `through`, and is kept by days or
 * months. `isLast` selects all other rows of the table besides: there must be none.
 */
export function backdatedUnits(
  { backdated, by }: Family,
  unit: Unit,
  { month, [unit]: { before } }: Kept,
  { after, through, isLast }: { after: number; through: number; isLast: boolean },
  ends: readonly number[],
): Selection {
  const isAfter = `t.position > $3::bigint and t.position > ${TIMELY}`
  // Leaves out days that are kept by months.
  const isOf =
    unit === 'month'
      ? 'true'
      : `not (
    t.position <= $7::bigint and isfinite(t.quarter) and t.quarter < $8::timestamptz)`
  const condition = `${isAfter} and t.position <= $4::bigint and isfinite(t.quarter)
    and t.quarter < $5::timestamptz and ${isOf}`
  const position = '($6::bigint[])[width_bucket(t.position - 1, $6::bigint[]) + 1]'
  return {
    own: `(
      ${isAfter} and (${isLast} or t.position <= $4::bigint) and ${isOf}
      or ${isLast} and t.position < ${TIMELY}
    )`,
    sources: [backdated, ...(unit === 'month' ? [by.day.name] : [])].map((table) => {
      return { table, condition, position }
    }),
    parameters: [
      ...[after, through, before, [...ends]],
      ...(unit === 'month' ? [] : [month.through, month.before]),
    ],
  }
}

/**
 * Compares rows by days or months with the expected ones. What was not moved yet from other tables
 * is added up as if it had been: readers see the same.
 */
export async function compareUnits(
  sql: Transaction,
  table: RolledUpTable,
  { shard, generation }: Target,
  expected: Iterable<readonly DigestValue[]>,
  { own, sources, parameters }: Selection,
): Promise<Problem[]> {
  const [id] = table.key
  const rest = [...table.key.slice(3), ...table.values].map((name) => `t.${name}`).join(', ')
  const isOwn = 't.generation = $1 and t.shard = $2'
  const texts = ['token_hash', 'combination']
  const order = table.key.map((key) => `t.${key}${texts.includes(key) ? ' collate "C"' : ''}`)
  const columns = [...table.key, ...table.values]
  const others = sources.map(
    (source) => `
        union all
        select t.${id}, date_trunc('${table.unit}', t.quarter, 'UTC'), ${source.position}, ${rest}
        from ${source.table} t
        where ${isOwn} and ${source.condition}`,
  )
  const rows = sql
    .unsafe(
      `
      select ${columns.map(toText).join(', ')}
      from (
        select t.${id}, t.quarter, t.position, ${rest}
        from ${table.name} t
        where ${isOwn} and ${own}
        ${others.join('')}
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
  { key }: RolledUpTable,
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
