import type { Details } from '../events/details.ts'
import type { PostedDetails } from '../events/postings.ts'

/** A value of a Parquet column of maps: its pairs. */
export type Pairs<Value extends string | bigint> = { key: string; value: Value }[]

/** The maps of a row; null for an empty one. */
export type DetailMaps = {
  /** As posted. An act does not state them. */
  dimensions: Pairs<string> | null
  /** As counted: `other` beyond a limit. */
  counted_dimensions: Pairs<string> | null
  /** The measures that are not 0, by name. */
  measures: Pairs<bigint> | null
}

/** Yields the maps of each entry of a flush. */
export function* mapsOfFlush(details: Details): Generator<DetailMaps> {
  const { dimensions: names, combinations, counted, combination, measures } = details
  const toPairs = (values: readonly (string | null)[]) =>
    nullIfEmpty(values.flatMap((value, i) => (value === null ? [] : [{ key: names[i]!, value }])))
  const posted = combinations.map(toPairs)
  const asCounted = counted === combinations ? posted : counted.map(toPairs)
  for (const [i, index] of combination.entries()) {
    yield {
      dimensions: posted[index]!,
      counted_dimensions: asCounted[index]!,
      measures: measuresOf(measures, i, ({ name }) => name),
    }
  }
}

/** Yields the maps of the rows of an act's postings; `names` are those of measures by number. */
export function* mapsOfAct(
  { combinations, combination, measures }: PostedDetails,
  { start, end }: { start: number; end: number },
  names: ReadonlyMap<number, string>,
): Generator<DetailMaps> {
  const counted = combinations.map((text) =>
    nullIfEmpty(
      Object.entries(JSON.parse(text) as Record<string, string>).map(([key, value]) => ({
        ...{ key, value },
      })),
    ),
  )
  for (let i = start; i < end; i++) {
    yield {
      dimensions: null,
      counted_dimensions: counted[combination[i]!]!,
      measures: measuresOf(measures, i, ({ number }) => names.get(number) ?? `measure_${number}`),
    }
  }
}

function measuresOf<Measure extends { values: readonly number[] }>(
  measures: readonly Measure[],
  row: number,
  nameOf: (measure: Measure) => string,
): Pairs<bigint> | null {
  return nullIfEmpty(
    measures.flatMap((measure) => {
      const amount = measure.values[row]!
      return amount === 0 ? [] : [{ key: nameOf(measure), value: BigInt(amount) }]
    }),
  )
}

const nullIfEmpty = <One>(all: One[]): One[] | null => (all.length === 0 ? null : all)
