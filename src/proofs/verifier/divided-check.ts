import { addExact, type Exact, toExact } from '../../events/exact.ts'
import { formatPositions } from '../../events/positions.ts'
import type { OnFinding } from './finding.ts'
import { isSame, toText } from './page-values.ts'
import type { DividedRequest, ServedUsage } from './sources/source.ts'
import { usageFields } from './usage-body.ts'
import { placeOf } from './usage-check.ts'
import { formatBucket, indexOfBucket, startOfBucket } from './usage-range.ts'

/** The value of a dimension; null for what is counted without it. */
type Value = string | null
/** The summed columns of usage, and then measures by number. */
type Sums = Exact[]

/** The value that has what is counted with all values that a page does not show. */
const OTHER = 'other'

/** The place of the total of a page. */
const TOTAL = 'total'

/** The most values that a page shows by default, beside OTHER and null. */
const SHOWN_VALUES = { whole: 998, days: 20 }

/** A page of usage by dimension, and the sums of the log up to the positions that it reflects. */
export class DividedCheck {
  /** By bucket and value. What is counted without the dimension is in `#whole` alone. */
  readonly #sums = new Map<number, Map<string, Sums>>()
  readonly #whole = new Map<number, Sums>()
  readonly #fields: readonly string[]

  constructor(
    readonly request: DividedRequest,
    private readonly served: ServedUsage,
  ) {
    this.#fields = usageFields(request)
  }

  get positions(): readonly number[] {
    return this.served.positions
  }

  /** Adds the counts of an event at this position and time, if the page reflects it. */
  add(shard: number, position: number, ms: number, values: readonly number[]): void {
    const bucket = this.#bucketOf(shard, position, ms)
    if (bucket !== null) addTo(this.#whole, bucket, values)
  }

  /** Adds what it counts with a combination: measures, and the value of the dimension, if any. */
  addPart(
    shard: number,
    position: number,
    ms: number,
    value: Value,
    { sums, measures }: { sums: readonly number[]; measures: readonly number[] },
  ): void {
    const bucket = this.#bucketOf(shard, position, ms)
    if (bucket === null) return
    const none = sums.map(() => 0)
    addTo(this.#whole, bucket, [...none, ...measures])
    if (value === null) return
    const byValue = this.#sums.get(bucket) ?? new Map<string, Sums>()
    this.#sums.set(bucket, byValue)
    addTo(byValue, value, [...sums, ...measures])
  }

  /** Compares all items on the page. `measures` are the names of all measures by number. */
  compare(measures: readonly string[], report: OnFinding): void {
    const { by, isWhole } = this.request
    const find = (where: string, message: string) =>
      report({ kind: 'total', at: `${placeOf(this.request, '')} by ${by} ${where}`, message })
    const items = readItems(this.request, this.served.body)
    if (items === null) {
      find('', 'it is not the requested usage by dimension')
      return
    }
    const shown = new Set<string>()
    for (const { value } of items.values()) if (value !== null && value !== OTHER) shown.add(value)
    const expected = this.#expected(shown)
    const most = SHOWN_VALUES[isWhole ? 'whole' : 'days']
    if (shown.size < Math.min(most, this.#countUsed())) {
      find('', `it shows only ${shown.size} values, and all others as ${OTHER}`)
    }
    const { total } = this.served.body as { total?: Record<string, unknown> }
    for (const place of new Set([...items.keys(), ...expected.keys()])) {
      const item = place === TOTAL ? (total ?? {}) : (items.get(place)?.item ?? {})
      const sums = expected.get(place) ?? []
      const own = (item.measures ?? {}) as Record<string, unknown>
      const values = [
        ...this.#fields.map((field, i) => [field, item[field], sums[i]] as const),
        ...measures.map((name, number) => {
          return [`measures.${name}`, own[name], sums[this.#fields.length + number]] as const
        }),
      ]
      for (const [field, is = 0, value = 0] of values) {
        if (isSame(is, BigInt(value))) continue
        const at = formatPositions(this.positions)
        find(place, `${field} is ${toText(is)} as of ${at}, but ${value} according to the log`)
      }
    }
  }

  /** The sums that the page must show if it shows these values, by the place of their items. */
  #expected(shown: ReadonlySet<string>): Map<string, Sums> {
    const expected = new Map<string, Sums>([[TOTAL, []]])
    for (const [bucket, whole] of this.#whole) {
      addTo(expected, TOTAL, whole)
      const place = (value: Value) => placeOfItem(this.request, bucket, value)
      const left = [...whole]
      for (const [value, sums] of this.#sums.get(bucket) ?? []) {
        addTo(expected, place(shown.has(value) ? value : OTHER), sums)
        for (const [i, sum] of sums.entries()) left[i] = plus(left[i] ?? 0, -sum)
      }
      addTo(expected, place(null), left)
    }
    return expected
  }

  /** The number of values with requests. */
  #countUsed(): number {
    const totals = new Map<string, Sums>()
    for (const byValue of this.#sums.values()) {
      for (const [value, sums] of byValue) addTo(totals, value, sums)
    }
    totals.delete(OTHER)
    return [...totals.values()].filter(([requests]) => requests! > 0).length
  }

  #bucketOf(shard: number, position: number, ms: number): number | null {
    const { from, to, isWhole } = this.request
    if (position > this.positions[shard]! || ms < from || ms >= to) return null
    return isWhole ? 0 : indexOfBucket(this.request, ms)
  }
}

type Item = { value: Value; item: Record<string, unknown> }

/** Reads the items of a page by their places; null if it is not the requested page. */
function readItems(request: DividedRequest, body: unknown): Map<string, Item> | null {
  const { items } = (body ?? {}) as { items?: unknown }
  if (!Array.isArray(items)) return null
  const found = new Map<string, Item>()
  for (const item of items as Record<string, unknown>[]) {
    const value = (item?.dimensions as Record<string, unknown> | undefined)?.[request.by]
    const start = request.isWhole ? request.from : Date.parse(String(item?.from))
    const bucket = indexOfBucket(request, start)
    const isBucket = bucket >= 0 && start === startOfBucket(request, bucket)
    if (!isBucket || (value !== null && typeof value !== 'string')) return null
    const place = placeOfItem(request, bucket, value)
    if (found.has(place)) return null
    found.set(place, { value, item })
  }
  return found
}

/** `2026-01-31 "gpt-5"`, or `"gpt-5"` on a page of a range as a whole. */
function placeOfItem(request: DividedRequest, bucket: number, value: Value): string {
  const text = JSON.stringify(value)
  return request.isWhole ? text : `${formatBucket(request, bucket)} ${text}`
}

const plus = (a: Exact, b: Exact): Exact =>
  typeof b === 'number' ? addExact(a, b) : toExact(String(BigInt(a) + b))

function addTo<Key>(rows: Map<Key, Sums>, key: Key, values: readonly Exact[]): void {
  const sums = rows.get(key) ?? []
  rows.set(key, sums)
  for (const [i, value] of values.entries()) sums[i] = plus(sums[i] ?? 0, value)
}
