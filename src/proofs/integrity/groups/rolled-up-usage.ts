import type { DigestValue } from '../../../events/digest.ts'
import { addExact, type Exact } from '../../../events/exact.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../../platform/postgres/timestamp.ts'
import { endOfBlock } from '../../verifier/backdated.ts'
import { compareKeys } from '../../verifier/exact-sums.ts'
import type { ProjectionTable, Target } from '../tables.ts'

/** The position of rows by days or months of what was counted when it was recorded. */
export const TIMELY = -1

/** The units that usage is added up by, one after the other. */
export const UNITS = ['day', 'month'] as const
export type Unit = (typeof UNITS)[number]

/** A table with usage by days or months. */
export type RolledUpTable = ProjectionTable & { unit: Unit }

/** Tables of usage by quarter hours, and those to which their rows are moved. */
export type Family = { timely: string; backdated: string; by: Record<Unit, RolledUpTable> }

const KINDS = [
  { kind: 'api_key', id: 'api_key_id', sums: ['requests', 'successes'] },
  { kind: 'provider_group', id: 'provider_group_id', sums: ['requests', 'successes'] },
  { kind: 'key', id: 'token_hash', sums: ['requests', 'tokens', 'quota_used'] },
]

export const FAMILIES: readonly Family[] = KINDS.flatMap(({ kind, id, sums }) =>
  ['usage', 'parts'].map((name) => {
    const hasParts = name === 'parts'
    const table = (unit: Unit, adjective: string) => ({
      name: `${kind}_${adjective}_${name}`,
      key: [id, 'quarter', 'position', ...(hasParts ? ['combination'] : [])],
      values: [...sums, ...(hasParts ? ['measures'] : [])],
      ...{ isSharded: true, unit },
    })
    return {
      timely: `${kind}_${name}`,
      backdated: `${kind}_backdated_${name}`,
      by: { day: table('day', 'daily'), month: table('month', 'monthly') },
    }
  }),
)

/** How far usage is kept by a unit: `before` as in a digest row, `-infinity` if none is. */
export type Kept = Record<Unit, { before: string; through: number }>

export async function readKept(sql: Transaction, target: Target): Promise<Kept> {
  const before = (name: string) => sql`
    case when isfinite(c.${sql(name)})
      then ${sql.unsafe(toMicroseconds(`c.${name}`))} else '-infinity'
    end`
  const [row] = await sql<Record<'day' | 'days' | 'month' | 'months', string>[]>`
    select
      ${before('daily_before')} as day, c.daily_through as days,
      ${before('monthly_before')} as month, c.monthly_through as months
    from checkpoints c
    where c.shard = ${target.shard} and c.projection = 'usage'
      and c.generation = ${target.generation}`
  return {
    day: { before: row?.day ?? '-infinity', through: Number(row?.days ?? -1) },
    month: { before: row?.month ?? '-infinity', through: Number(row?.months ?? -1) },
  }
}

/** Returns the start of the day or month of a bucket. */
export const startOf = (unit: Unit, bucket: string) =>
  `${unit === 'day' ? bucket.slice(0, 10) : `${bucket.slice(0, 7)}-01`}T00:00:00.000000+00:00`

/** The ends of the last blocks of positions that were recorded on each day, or in each month. */
export class UnitEnds {
  readonly #ends: { start: string; end: number }[] = []

  constructor(private readonly unit: Unit) {}

  /** Notes an event, in the order of positions. */
  add(position: number, recordedAt: string): void {
    if (endOfBlock(position) !== position) return
    const start = startOf(this.unit, recordedAt)
    const last = this.#ends.at(-1)
    if (last?.start === start) last.end = position
    else this.#ends.push({ start, end: position })
  }

  get all(): readonly number[] {
    return this.#ends.map(({ end }) => end)
  }

  /** Returns the first end at or after a position: where backdated usage at it is added up. */
  endFor(position: number): number | null {
    let [low, high] = [0, this.#ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#ends[middle]!.end < position) low = middle + 1
      else high = middle
    }
    return this.#ends[low]?.end ?? null
  }

  /** Returns the last end at or before a position that no later event can move; -1 for none. */
  lastThrough(position: number): number {
    return (
      this.#ends.findLast(({ end }, i) => end <= position && i < this.#ends.length - 1)?.end ?? -1
    )
  }
}

/** Rows that a table by days or months must have, added up. */
export class RolledUpRows {
  readonly #rows = new Map<string, DigestValue[]>()

  constructor(private readonly table: RolledUpTable) {}

  get size(): number {
    return this.#rows.size
  }

  /** Adds a row: account, bucket, position, combination if there is one, and the values. */
  add(row: readonly DigestValue[]): void {
    const { key, unit } = this.table
    const own = [row[0]!, startOf(unit, String(row[1])), ...row.slice(2)]
    const name = JSON.stringify(own.slice(0, key.length))
    const found = this.#rows.get(name)
    if (found === undefined) this.#rows.set(name, own)
    else addInto(found, own, key.length)
  }

  /** Returns rows with some starts in the order of the table's key, and forgets them. */
  take(isTaken: (start: string) => boolean = () => true): DigestValue[][] {
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

export function addInto(sums: DigestValue[], values: readonly DigestValue[], first: number): void {
  for (let i = first; i < values.length; i++) {
    const [sum, value] = [sums[i]!, values[i]!]
    if (Array.isArray(sum)) sums[i] = addMeasures(sum, value as readonly Exact[])
    else sums[i] = addExact(sum as Exact, value as Exact)
  }
}

const addMeasures = (a: readonly Exact[], b: readonly Exact[]): Exact[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => addExact(a[i] ?? 0, b[i] ?? 0))
