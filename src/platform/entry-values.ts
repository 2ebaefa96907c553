import { UNTOUCHED, type Values } from './exact-rows.ts'

type Column = readonly number[]
type Measured = { measures: readonly { values: Column }[] }

/** Entries that are laid out at once: 400 KB with 10 measures, which larger events share. */
const MAX_ENTRIES = 4_096

/** The values of entries: `offset` to `end`, exclusive. */
type Laid = Values & { end: number }

/** Reused, as one event at a time is added. */
let values = new Float64Array(0)
let last: { details: Measured; sums: readonly Column[]; laid: Laid } | null = null

/**
 * Lays out the sums and then the measures of entry after entry, from `start` or before it to the
 * last one for which there is room. They are there until the next call. Each fold of an event adds
 * them from here: the columns are arrays of different kinds, which every addition would have to
 * tell apart.
 */
export function layOut(details: Measured, sums: readonly Column[], start: number): Laid {
  if (last?.details === details && last.sums === sums) {
    const { laid } = last
    if (laid.offset <= start && start < laid.end) return laid
  }
  const { measures } = details
  const end = Math.min(sums[0]!.length, start + MAX_ENTRIES)
  const width = sums.length + measures.length
  if (values.length < (end - start) * width) values = new Float64Array((end - start) * width)
  for (let k = 0; k < sums.length; k++) put(sums[k]!, start, end, k, width)
  for (let k = 0; k < measures.length; k++) {
    put(measures[k]!.values, start, end, sums.length + k, width)
  }
  const hasZeros = hasEntryWithout(sums.length, width, end - start)
  last = { details, sums, laid: { values, offset: start, end, width, hasZeros } }
  return last.laid
}

/** Puts entries `start` to `end` of a column at value k of each. */
function put(column: Column, start: number, end: number, k: number, width: number) {
  const to = values
  for (let i = start, at = k; i < end; i++, at += width) {
    const value = column[i]!
    to[at] = value === 0 ? UNTOUCHED : value
  }
}

/** True if one of so many entries has none of the values from k. */
function hasEntryWithout(k: number, width: number, entries: number): boolean {
  for (let i = 0; i < entries; i++) {
    let at = i * width + k
    const end = (i + 1) * width
    while (at < end && values[at] === 0) at++
    if (at === end) return true
  }
  return false
}
