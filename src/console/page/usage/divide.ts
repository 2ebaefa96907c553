import type { Exact } from '../../../events/exact.ts'
import { addCounts, type Counts, plus, type Shown } from './counts.ts'

/** The value that the API has for all values that are not counted apart. */
export const OTHER = 'other'

/** A value of a dimension, null for what has none, and its counts. */
export type Part = { value: string | null; counts: Counts }

/** An item of usage that is divided by dimensions. */
export type DividedItem = Counts & { from: string; dimensions: Record<string, string | null> }

/** Adds up items by the values of dimension `by`. */
export function toParts(items: readonly Omit<DividedItem, 'from'>[], by: string): Part[] {
  const counts = new Map<string | null, Counts>()
  for (const item of items) {
    const value = item.dimensions[by] ?? null
    const before = counts.get(value)
    counts.set(value, before === undefined ? item : addCounts(before, item))
  }
  return [...counts].map(([value, counts]) => ({ value, counts }))
}

/**
 * Keeps the `most` largest values and adds up the rest as OTHER. It comes after them, and what has
 * no value comes last.
 */
export function keepLargest(parts: readonly Part[], { read }: Shown, most: number): Part[] {
  const apart = parts
    .filter(({ value }) => value !== null && value !== OTHER)
    .sort((a, b) => {
      const [x, y] = [read(a.counts), read(b.counts)]
      if (x !== y) return x > y ? -1 : 1
      return a.value! < b.value! ? -1 : 1
    })
  const rest = [...apart.slice(most), ...parts.filter(({ value }) => value === OTHER)]
  const none = parts.filter(({ value }) => value === null)
  const other = { value: OTHER, counts: rest.map(({ counts }) => counts).reduce(addCounts, {}) }
  return [...apart.slice(0, most), ...(rest.length > 0 ? [other] : []), ...none]
}

/** A value, what it counted in each bucket, and in total. */
export type Layer = { value: string | null; values: Exact[]; total: Exact }

/**
 * Divides the buckets that begin at `starts` (ms): a layer for each of the `most` largest values,
 * for all others together, and for what has no value, if they counted anything.
 */
export function toLayers(
  items: readonly DividedItem[],
  starts: readonly number[],
  by: string,
  shown: Shown,
  most: number,
): Layer[] {
  const layers = keepLargest(toParts(items, by), shown, most).map(({ value, counts }) => ({
    ...{ value, total: shown.read(counts) },
    values: starts.map((): Exact => 0),
  }))
  const layerOf = new Map(layers.map((layer) => [layer.value, layer]))
  const bucketOf = new Map(starts.map((start, bucket) => [start, bucket]))
  for (const item of items) {
    const start = Date.parse(item.from)
    // Where clocks change in the middle of an hour, it is two buckets of the service.
    const bucket = bucketOf.get(start) ?? starts.findLastIndex((other) => other < start)
    const layer = layerOf.get(item.dimensions[by] ?? null) ?? layerOf.get(OTHER)
    if (layer === undefined || bucket < 0) continue
    layer.values[bucket] = plus(layer.values[bucket]!, shown.read(item))
  }
  return layers.filter(({ total }) => total !== 0)
}

/** Names a value of dimension `by` for people. */
export const labelOf = (value: string | null, by: string) => value ?? `without ${by}`

/** Number of colours of values; OTHER and no value have their own. */
export const COLOURS = 8

/**
 * Gives each value the number of a colour, below COLOURS. A value that had one keeps it, so that
 * colours do not change while the order of values does.
 */
export function assignColours(
  before: ReadonlyMap<string, number>,
  values: readonly string[],
): Map<string, number> {
  const assigned = new Map<string, number>()
  for (const value of values) {
    const colour = before.get(value)
    if (colour !== undefined) assigned.set(value, colour)
  }
  const taken = new Set(assigned.values())
  const free = Array.from({ length: COLOURS }, (_, colour) => colour).filter(
    (colour) => !taken.has(colour),
  )
  for (const value of values) {
    if (!assigned.has(value)) assigned.set(value, free.shift() ?? 0)
  }
  return assigned
}
