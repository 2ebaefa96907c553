import { MAX_DIMENSIONS, MAX_MEASURES_EVER } from './catalog-change.ts'
import { isCount, isStorable } from './columns.ts'
import type { PostedDetails as DetailsOfPostings } from './postings.ts'

/** A value of each dimension; null where an entry has none. */
export type Values = readonly (string | null)[]

/** The dimensions and measures of entries, as posted; index i of a column of entries is entry i. */
export type PostedDetails = {
  /** Names, sorted. */
  dimensions: string[]
  /** The combinations of values that entries have, each once, in the order of `dimensions`. */
  combinations: readonly Values[]
  /** The combination of each entry. */
  combination: number[]
  /** Sorted by name; 0 for an entry without the measure. */
  measures: { name: string; values: number[] }[]
  /** The place in the body of the first entry with each dimension, and with each measure. */
  places?: { dimensions: number[]; measures: number[] }
}

/** Dimensions and measures as an event holds them. */
export type Details = Omit<PostedDetails, 'measures' | 'places'> & {
  /**
   * The combinations that are counted, in the order of `combinations`: a value beyond a limit is
   * counted as OTHER. One combination may then be there twice, and be counted in two ways.
   */
  counted: readonly Values[]
  /** The texts of `counted` (see `formatCombinations`), if they are known already. */
  texts?: readonly string[]
  /** `number` is the measure's in the catalog. */
  measures: { name: string; number: number; values: number[] }[]
}

/** The value under which values beyond a limit are counted. It can't be posted. */
export const OTHER = 'other'

const MAX_VALUE_LENGTH = 64

/** The names of dimensions and measures. */
export const DETAIL_NAME = /^[a-z][a-z0-9_]{0,63}$/

/** True for a value that may be posted: 1 to 64 characters, and not OTHER. */
export const isDimensionValue = (value: unknown): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  value !== OTHER &&
  (value.length <= MAX_VALUE_LENGTH || [...value].length <= MAX_VALUE_LENGTH) &&
  isStorable(value)

/** The look-ups in the catalog that dimensions and measures need. */
export type Declared = {
  hasDimension: (name: string) => boolean
  /** Returns the number of a measure, or null if it is not declared. */
  measureNumberOf: (name: string) => number | null
}

/** A dimension or measure that is not declared, and the place in the body of its first entry. */
export type Undeclared = { undeclared: string; place: number }

/** Looks up measures, or returns the first name that is not declared. */
export function resolveDetails(posted: PostedDetails, catalog: Declared): Details | Undeclared {
  const { dimensions, combinations, combination, places } = posted
  const unknown = dimensions.findIndex((name) => !catalog.hasDimension(name))
  if (unknown >= 0) {
    return {
      undeclared: `dimensions.${dimensions[unknown]}`,
      place: places?.dimensions[unknown] ?? 0,
    }
  }
  const measures: Details['measures'] = []
  for (const [i, { name, values }] of posted.measures.entries()) {
    const number = catalog.measureNumberOf(name)
    if (number === null) {
      return { undeclared: `measures.${name}`, place: places?.measures[i] ?? 0 }
    }
    measures.push({ name, number, values })
  }
  return { dimensions, combinations, counted: combinations, combination, measures }
}

/** Moves each entry i to `places[i]`. */
export function reorderDetails(details: Details, places: ArrayLike<number>): Details {
  const move = (column: readonly number[]) => {
    const moved = new Array<number>(column.length)
    for (let i = 0; i < column.length; i++) moved[places[i]!] = column[i]!
    return moved
  }
  return {
    ...details,
    combination: move(details.combination),
    measures: details.measures.map((measure) => ({ ...measure, values: move(measure.values) })),
  }
}

/**
 * Formats combinations: JSON with sorted names, `{"model":"gpt-5","status":"200"}`, and `{}` for
 * one without values.
 */
export function formatCombinations(dimensions: readonly string[], all: readonly Values[]) {
  const names = dimensions.map((name) => `${JSON.stringify(name)}:`)
  return all.map((values) => {
    let text = ''
    for (let i = 0; i < names.length; i++) {
      const value = values[i] ?? null
      if (value === null) continue
      text += (text === '' ? '' : ',') + names[i]! + JSON.stringify(value)
    }
    return `{${text}}`
  })
}

function objectOf(dimensions: readonly string[], values: Values): Record<string, string> {
  const object: Record<string, string> = {}
  for (const [i, name] of dimensions.entries()) {
    const value = values[i] ?? null
    if (value !== null) object[name] = value
  }
  return object
}

/** True for a text that `formatCombinations` returns, with values as they are counted. */
export function isCombination(text: unknown): boolean {
  if (typeof text !== 'string' || text.length > MAX_COMBINATION_LENGTH) return false
  try {
    const object: unknown = JSON.parse(text)
    if (!isObject(object) || !isSortedNames(Object.keys(object), MAX_DIMENSIONS)) return false
    const values = Object.values(object)
    return (
      values.every((value) => value === OTHER || isDimensionValue(value)) &&
      JSON.stringify(object) === text
    )
  } catch {
    return false
  }
}

/** A name and a value have at most 64 characters; JSON needs at most 6 for one of a value. */
const MAX_COMBINATION_LENGTH = 2 + MAX_DIMENSIONS * (64 + 6 * MAX_VALUE_LENGTH + 6)

/** Returns the details of a flush's postings. */
export function postDetails(details: Details): DetailsOfPostings {
  const { dimensions, counted, combination, measures } = details
  return {
    combinations: details.texts ?? formatCombinations(dimensions, counted),
    ...{ combination, measures },
  }
}

/** Columns to compare the details of entries by, as posted; `measures` are the names to compare. */
export function columnsToCompare(
  details: PostedDetails | undefined,
  measures: readonly string[],
  entries: number,
): unknown[][] {
  const none = () => new Array(entries).fill(0)
  if (details === undefined) return [new Array(entries).fill('{}'), ...measures.map(none)]
  const texts = formatCombinations(details.dimensions, details.combinations)
  return [
    details.combination.map((i) => texts[i]!),
    ...measures.map((name) => details.measures.find((one) => one.name === name)?.values ?? none()),
  ]
}

/** Returns the names of all measures in either. */
export const measuresOf = (...all: (PostedDetails | undefined)[]): string[] => [
  ...new Set(all.flatMap((details) => details?.measures.map(({ name }) => name) ?? [])),
]

/** The details of an entry, for its row. */
export type DetailRow = {
  dimensions?: Record<string, string>
  /** Present if values were counted as OTHER. */
  counted_dimensions?: Record<string, string>
  measures?: Record<string, number>
}

/** Returns the details of entry i as members of its row. */
export function detailRow(details: Details | undefined, i: number): DetailRow {
  if (details === undefined) return {}
  const { dimensions, combinations, counted, combination, measures } = details
  const at = combination[i]!
  const posted = objectOf(dimensions, combinations[at]!)
  const isSame = counted[at]!.every((value, j) => value === combinations[at]![j])
  return {
    dimensions: posted,
    ...(isSame ? {} : { counted_dimensions: objectOf(dimensions, counted[at]!) }),
    measures: Object.fromEntries(measures.map(({ name, values }) => [name, values[i]!])),
  }
}

/** True for a number that a catalog may give to a measure. */
export const isMeasureNumber = (number: unknown): boolean =>
  isCount(number) && (number as number) < MAX_MEASURES_EVER

export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** True for names of dimensions or measures in order, at most `max`. */
export function isSortedNames(names: unknown, max: number): names is string[] {
  if (!Array.isArray(names) || names.length > max) return false
  return names.every(
    (name, i) =>
      typeof name === 'string' && DETAIL_NAME.test(name) && (i === 0 || names[i - 1]! < name),
  )
}
