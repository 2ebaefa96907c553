import { MAX_DIMENSIONS, MAX_MEASURES } from './catalog-change.ts'
import { isCount, PayloadError } from './columns.ts'
import {
  type Details,
  isDimensionValue,
  isMeasureNumber,
  isObject,
  isSortedNames,
  OTHER,
  type Values,
} from './details.ts'
import { type Packed, pack, unpack, widthOf } from './packed.ts'

/**
 * A dimension: for each entry the number of its value, packed, and the values in order of first
 * appearance; null stands for none. `others` are the values that are counted as OTHER. A value may
 * be there twice, and be counted in two ways.
 */
type EncodedDimension = [...numbers: Packed, values: Values, others?: readonly number[]]

/**
 * A measure: its number in the catalog and its packed values; or its number, the values that are
 * not 0, how many these are, and the entries that have them. The shorter form is written.
 */
type EncodedMeasure =
  | [number: number, ...values: Packed]
  | [number: number, ...values: Packed, count: number, ...entries: Packed]

type EncodedDetails = {
  dimensions: Record<string, EncodedDimension>
  measures: Record<string, EncodedMeasure>
}

/**
 * Returns the members of a payload that hold details:
 *
 *     "dimensions":{"model":[1,"QA==",["gpt-5","o4"]],"status":[1,"QA==",["200",null]]},
 *     "measures":{"input_tokens":[0,10,"lg+g"]}
 *
 * If the second entry's model is counted as OTHER, it is `"model":[1,"QA==",["gpt-5","o4"],[1]]`.
 */
export function encodeDetails(details: Details): EncodedDetails {
  // Loops, because Object.fromEntries takes a third of the time of all this.
  const dimensions: EncodedDetails['dimensions'] = {}
  for (const [at, name] of details.dimensions.entries()) {
    dimensions[name] = encodeDimension(details, at)
  }
  const measures: EncodedDetails['measures'] = {}
  for (const { name, number, values } of details.measures) {
    measures[name] = encodeMeasure(number, values)
  }
  return { dimensions, measures }
}

function encodeDimension(details: Details, at: number): EncodedDimension {
  const { combinations, counted, combination } = details
  const values: (string | null)[] = []
  const others: number[] = []
  const known = new Map<string | null, number>()
  const numberOf = (i: number) => {
    const value = combinations[i]![at]!
    const isOther = value !== counted[i]![at]
    // No value begins with a NUL.
    const key = isOther ? `\0${value}` : value
    const number = known.get(key) ?? values.push(value) - 1
    if (number === known.size) {
      known.set(key, number)
      if (isOther) others.push(number)
    }
    return number
  }
  const numbers = new Array<number>(combinations.length).fill(-1)
  const column = new Array<number>(combination.length)
  for (let i = 0; i < combination.length; i++) {
    const at = combination[i]!
    if (numbers[at]! < 0) numbers[at] = numberOf(at)
    column[i] = numbers[at]!
  }
  const [bits, base64] = pack(column)
  return others.length === 0 ? [bits, base64, values] : [bits, base64, values, others]
}

function encodeMeasure(number: number, values: readonly number[]): EncodedMeasure {
  const bits = widthOf(values)
  if (!isSparse(values, bits)) return [number, bits, pack(values, bits)[1]]
  const entries = [...values.keys()].filter((i) => values[i] !== 0)
  const some = entries.map((i) => values[i]!)
  return [number, ...pack(some, bits), entries.length, ...pack(entries)]
}

/** True if it takes less to write only the values that are not 0. */
function isSparse(values: readonly number[], bits: number): boolean {
  let count = 0
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) count++
  return count * (bits + widthOf([values.length])) < values.length * bits
}

/** Reads these members. Throws PayloadError if no append could have written them. */
export function decodeDetails(payload: object, entries: number): Details {
  const { dimensions, measures } = payload as EncodedDetails
  if (!isObject(dimensions) || !isSortedNames(Object.keys(dimensions), MAX_DIMENSIONS)) {
    throw new PayloadError('dimensions are not names in order')
  }
  const columns = Object.entries(dimensions).map(([name, encoded]) =>
    decodeDimension(encoded, entries, name),
  )
  const { combination, numbers } = combine(columns, entries)
  const valuesOf = (values: (column: Column) => Values) =>
    numbers.map((row) => row.map((number, at) => values(columns[at]!)[number]!))
  const combinations = valuesOf(({ values }) => values)
  const isAsPosted = columns.every(({ values, counted }) => values === counted)
  return {
    dimensions: Object.keys(dimensions),
    combinations,
    counted: isAsPosted ? combinations : valuesOf(({ counted }) => counted),
    combination,
    measures: decodeMeasures(measures, entries, decodeValues),
  }
}

/** A dimension's values as posted and as counted, and the number of each entry's value. */
type Column = { values: Values; counted: Values; numbers: number[] }

function decodeDimension(encoded: unknown, entries: number, name: string): Column {
  const isDimension = Array.isArray(encoded) && encoded.length <= 4
  const [bits, base64, values, others] = isDimension ? encoded : []
  const numbers = unpack([bits, base64], entries, name)
  const isValues =
    Array.isArray(values) && values.every((value) => value === null || isDimensionValue(value))
  if (!isValues || !isInOrder(numbers, values.length)) {
    throw new PayloadError(`${name} has no values in order of appearance`)
  }
  const isOther = new Set<unknown>(Array.isArray(others) ? others : [])
  const counted = values.map((value, i) => (isOther.has(i) && value !== null ? OTHER : value))
  const isOnce = new Set(values.map((value, i) => JSON.stringify([isOther.has(i), value])))
  const places = [...values.keys()].filter((i) => counted[i] !== values[i])
  const isWritten =
    JSON.stringify(others) === JSON.stringify(places.length > 0 ? places : undefined)
  if (isOnce.size !== values.length || !isWritten) {
    throw new PayloadError(`${name} has a value that is not counted`)
  }
  return { values, counted: places.length > 0 ? counted : values, numbers }
}

/** True if the numbers 0, 1, 2 … below `count` appear first in this order. */
function isInOrder(numbers: readonly number[], count: number): boolean {
  let seen = 0
  for (const number of numbers) {
    if (number > seen) return false
    if (number === seen) seen++
  }
  return seen === count
}

/** Returns the combination of each entry, and the numbers of each combination's values. */
function combine(columns: readonly Column[], entries: number) {
  let combination = new Array<number>(entries).fill(0)
  let numbers: number[][] = [[]]
  for (const { numbers: column, values } of columns) {
    const known = new Map<number, number>()
    const longer: number[][] = []
    combination = combination.map((shorter, i) => {
      const key = shorter * values.length + column[i]!
      const at = known.get(key) ?? longer.push([...numbers[shorter]!, column[i]!]) - 1
      known.set(key, at)
      return at
    })
    numbers = longer
  }
  return { combination, numbers }
}

/** Reads the members of a measure after its number; `zeros` is a column of all entries. */
type DecodeValues = (members: unknown[], zeros: number[], name: string) => number[]

/** Reads measures, and their values by `decode`. Throws PayloadError as `decodeDetails`. */
export function decodeMeasures(
  encoded: unknown,
  entries: number,
  decode: DecodeValues,
): Details['measures'] {
  if (!isObject(encoded) || !isSortedNames(Object.keys(encoded), MAX_MEASURES)) {
    throw new PayloadError('measures are not names in order')
  }
  // Columns of zeros take no space in a payload. In memory they share one.
  const zeros = unpack(pack([]), entries, 'zeros')
  const measures = Object.entries(encoded).map(([name, measure]) => {
    const [number, ...members]: unknown[] = Array.isArray(measure) ? measure : []
    if (!isMeasureNumber(number)) throw new PayloadError(`the measure ${name} has no number`)
    const isZero = members.length === 2 && members[0] === 0 && members[1] === ''
    const values = isZero ? zeros : decode(members, zeros, name)
    return { name, number: number as number, values }
  })
  if (new Set(measures.map(({ number }) => number)).size < measures.length) {
    throw new PayloadError('two measures have the same number')
  }
  return measures
}

function decodeValues(members: unknown[], zeros: number[], name: string): number[] {
  const [bits, base64, count, ...entries] = members
  const isWhole = count === undefined
  const values = isWhole
    ? unpack([bits, base64], zeros.length, name)
    : decodeSparse({ column: [bits, base64], count, entries }, zeros, name)
  if (isSparse(values, bits as number) === isWhole) {
    throw new PayloadError(`${name} has a shorter form`)
  }
  return values
}

type Sparse = { column: unknown; count: unknown; entries: unknown }

/** Reads values that are not 0, and returns a value for each entry. */
function decodeSparse(sparse: Sparse, zeros: readonly number[], name: string): number[] {
  const { column, count, entries } = sparse
  const isPossible = isCount(count) && (count as number) <= zeros.length
  if (!isPossible) throw new PayloadError(`${name} has no values`)
  const values = unpack(column, count as number, name)
  const places = unpack(entries, count as number, name)
  const all = zeros.slice()
  for (const [j, place] of places.entries()) {
    const isInOrder = j === 0 || place > places[j - 1]!
    if (!isInOrder || place >= zeros.length || values[j] === 0) {
      throw new PayloadError(`${name} has values without entries`)
    }
    all[place] = values[j]!
  }
  return all
}
