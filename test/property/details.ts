import fc from 'fast-check'
import { count } from './arbitraries.ts'
import type { NaiveDeclared } from './declared.ts'

/** Totals of measures by name; none is 0. */
export type Measures = ReadonlyMap<string, bigint>

/** Adds measures to totals, or takes them back. */
export function addMeasures(totals: Map<string, bigint>, measures: Measures, sign = 1n): void {
  for (const [name, value] of measures) totals.set(name, (totals.get(name) ?? 0n) + sign * value)
}

/** Which of those that are declared an entry has, by number, and their values. */
type Planned = {
  dimensions: [nth: number, value: string | null][]
  measures: [nth: number, value: number | null][]
  /** True if it names one that may not be declared. */
  isOther: boolean
}

const planned: fc.Arbitrary<Planned> = fc.record({
  dimensions: fc.array(fc.tuple(fc.nat(7), fc.constantFrom('a', 'b"\\', '🙂', null)), {
    maxLength: 2,
  }),
  measures: fc.array(
    fc.tuple(fc.nat(31), fc.oneof({ weight: 9, arbitrary: count }, fc.constant(null))),
    { maxLength: 3 },
  ),
  isOther: fc.nat(40).map((n) => n === 0),
})

/** Entries, some of which have dimensions and measures; see `nameDetails`. */
export const withDetails = (entry: fc.Arbitrary<object | null>): fc.Arbitrary<object | null> =>
  fc
    .tuple(entry, fc.option(planned))
    .map(([one, details]) =>
      one !== null && details !== null && 'requests' in one ? { ...one, details } : one,
    )

/**
 * Names the dimensions and measures of entries by what is declared now. With `others`, a few name a
 * measure that may not be.
 */
export function nameDetails(
  entries: readonly (object | null)[],
  declared: NaiveDeclared,
  { others = true } = {},
): (object | null)[] {
  const names = { dimensions: declared.active('dimensions'), measures: declared.active('measures') }
  const nameAll = (kind: keyof typeof names, values: readonly [number, unknown][]) =>
    values.flatMap(([nth, value]) => {
      const name = names[kind][nth % names[kind].length]
      return name === undefined ? [] : [[name, value]]
    })
  return entries.map((entry) => {
    if (entry === null || !('details' in entry)) return entry
    const { details, ...rest } = entry as { details: Planned }
    const measures = nameAll('measures', details.measures)
    if (others && details.isOther) measures.push(['m35', 1])
    return {
      ...rest,
      dimensions: Object.fromEntries(nameAll('dimensions', details.dimensions)),
      measures: Object.fromEntries(measures),
    }
  })
}

/** Reads the dimensions of an entry as sorted text, and its measures; null and 0 are as absent. */
export function readDetails(fields: ReadonlyMap<string, unknown>) {
  const read = (name: string) => Object.entries((fields.get(name) ?? {}) as object)
  const dimensions = read('dimensions').filter(([, value]) => value !== null)
  const measures = read('measures').filter(([, value]) => value !== null && value !== 0)
  return {
    dimensions: new Map<string, string>(dimensions.sort(([a], [b]) => (a < b ? -1 : 1))),
    measures: new Map(measures.map(([name, value]) => [name, BigInt(value as number)])),
    /** All names, which must be declared. */
    names: { dimensions: read('dimensions').map(nameOf), measures: read('measures').map(nameOf) },
  }
}

const nameOf = ([name]: [string, unknown]) => name
