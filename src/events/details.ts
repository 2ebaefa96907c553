import { isCount, isStorable, LAST_UNIX_SECOND, PayloadError } from './columns.ts'
import { type Packed, pack, unpack } from './packed.ts'
import type { PostedDetails as DetailsOfPostings } from './postings.ts'

/** A value of each dimension; null where an entry has none. */
type Values = readonly (string | null)[]

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
 * Formats a combination: JSON with sorted names, `{"model":"gpt-5","status":"200"}`, and `{}` for
 * one without values.
 */
export function formatCombination(dimensions: readonly string[], values: Values): string {
  return JSON.stringify(objectOf(dimensions, values))
}

function objectOf(dimensions: readonly string[], values: Values): Record<string, string> {
  const object: Record<string, string> = {}
  for (const [i, name] of dimensions.entries()) {
    const value = values[i] ?? null
    if (value !== null) object[name] = value
  }
  return object
}

/** Returns the details of a flush's postings. */
export function postDetails(details: Details): DetailsOfPostings {
  const { dimensions, counted, combination, measures } = details
  return {
    combinations: counted.map((values) => formatCombination(dimensions, values)),
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
  const texts = details.combinations.map((values) => formatCombination(details.dimensions, values))
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

/** The members of a payload that hold details. A measure is its number and its packed values. */
type EncodedDetails = {
  dimensions: readonly string[]
  combinations: readonly Values[]
  /** Absent if every combination is counted as posted. */
  counted?: readonly Values[]
  combination: Packed
  measures: Record<string, [number: number, ...values: Packed]>
}

/**
 * Returns the members of a payload:
 *
 *     "dimensions":["model","status"],"combinations":[["gpt-5","200"],["gpt-5",null]],
 *     "combination":[1,"QA=="],"measures":{"input_tokens":[0,11,"SwPoAA=="]}
 *
 * and `"counted":[["gpt-5","200"],["other",null]]` if a value was beyond a limit.
 */
function encodeDetails(details: Details): EncodedDetails {
  const { dimensions, combinations, counted, combination, measures } = details
  return {
    dimensions,
    combinations,
    ...(counted === combinations ? {} : { counted }),
    combination: pack(combination),
    measures: Object.fromEntries(
      measures.map(({ name, number, values }) => [name, [number, ...pack(values)]]),
    ),
  }
}

/** Reads these members. Throws PayloadError if no append could have written them. */
function decodeDetails(payload: object, entries: number): Details {
  const { dimensions, combinations, counted, combination, measures } = payload as EncodedDetails
  if (!isSortedNames(dimensions)) throw new PayloadError('dimensions are not names in order')
  const isValues = (isValue: (value: unknown) => boolean) => (values: unknown) =>
    Array.isArray(values) &&
    values.length === dimensions.length &&
    values.every((value) => value === null || isValue(value))
  if (!Array.isArray(combinations) || !combinations.every(isValues(isDimensionValue))) {
    throw new PayloadError('a combination is not a value of each dimension')
  }
  if (counted !== undefined && !isCounted(combinations, counted)) {
    throw new PayloadError('a combination is counted as another one')
  }
  const indexes = unpack(combination, entries, 'combination')
  if (indexes.some((index) => index >= combinations.length)) {
    throw new PayloadError('an entry has no combination')
  }
  if (!isObject(measures) || !isSortedNames(Object.keys(measures))) {
    throw new PayloadError('measures are not names in order')
  }
  return {
    dimensions: [...dimensions],
    combinations,
    counted: counted ?? combinations,
    combination: indexes,
    measures: Object.entries(measures).map(([name, encoded]) => {
      const [number, ...values] = Array.isArray(encoded) ? encoded : []
      if (!isCount(number)) throw new PayloadError(`the measure ${name} has no number`)
      return { name, number: number!, values: unpack(values, entries, name) }
    }),
  }
}

function isCounted(combinations: readonly Values[], counted: unknown): boolean {
  return (
    Array.isArray(counted) &&
    counted.length === combinations.length &&
    combinations.every(
      (values, i) =>
        Array.isArray(counted[i]) &&
        counted[i].length === values.length &&
        values.every((value, j) => {
          const as: unknown = counted[i][j]
          return as === value || (as === OTHER && value !== null)
        }),
    )
  )
}

const isObject = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function isSortedNames(names: unknown): names is string[] {
  if (!Array.isArray(names)) return false
  return names.every(
    (name, i) =>
      typeof name === 'string' && DETAIL_NAME.test(name) && (i === 0 || names[i - 1]! < name),
  )
}

/** What a flush may have besides its entries: a time of its own, dimensions and measures. */
export type Extras = { counted_at?: number | undefined; details?: Details | undefined }

/** Returns the members of a payload for these. */
export const encodeExtras = ({ counted_at, details }: Extras) => ({
  ...(counted_at === undefined ? {} : { counted_at }),
  ...(details && encodeDetails(details)),
})

/** Reads these members of a payload with so many entries; one of both is there. */
export function decodeExtras(
  payload: object,
  entries: number,
): { counted_at?: number; details?: Details } {
  const { counted_at } = payload as { counted_at?: number }
  if (counted_at !== undefined && !(isCount(counted_at) && counted_at <= LAST_UNIX_SECOND)) {
    throw new PayloadError('counted_at is not a time')
  }
  const hasDetails = 'dimensions' in payload
  if (!hasDetails && counted_at === undefined) throw new PayloadError('an older version would do')
  return {
    ...(counted_at === undefined ? {} : { counted_at }),
    ...(hasDetails ? { details: decodeDetails(payload, entries) } : {}),
  }
}
