import { MAX_DIMENSIONS, MAX_MEASURES } from '../../events/catalog-change.ts'
import { isCount } from '../../events/columns.ts'
import { isDimensionValue, type PostedDetails } from '../../events/details.ts'

/** An entry's members for dimensions and measures. Their values may have any type. */
export type Detailed = { dimensions?: unknown; measures?: unknown }

/** A dimension, its place in the order of appearance, and the numbers of its values. */
type Dimension = { name: string; place: number; order: number; numbers: Map<unknown, number> }

/** A measure, and its value for each entry. */
type Measure = { name: string; place: number; values: number[] }

/**
 * The values of an entry, in the order posted: those of `parent` and one more. `children` are those
 * with one more than this, by the number of that value.
 */
class Combination {
  readonly children: Combination[] = []

  constructor(
    readonly number: number,
    readonly parent: Combination | null,
    readonly dimension: Dimension | null,
    readonly value: string | null,
  ) {}
}

const INVALID = -1

/** True for an entry with dimensions or measures. Most flushes have none. */
export const hasDetails = ({ dimensions, measures }: Detailed): boolean =>
  !isAbsent(dimensions) || !isAbsent(measures)

/**
 * Collects the dimensions and measures of a flush's entries. They mostly have the same names in the
 * same order, so each name is first compared with the one that was at its place before.
 */
export class DetailsReader {
  /** In order of appearance. */
  readonly #dimensions: Dimension[] = []
  readonly #measures: Measure[] = []
  readonly #values: string[] = []
  readonly #none = new Combination(0, null, null, null)
  /** By number. */
  readonly #combinations = [this.#none]
  /** True if entries name the same dimensions in different orders. */
  #isMixed = false
  /** The number of each entry's combination. */
  readonly #combination: number[]

  /** `size` is the number of entries in the body. */
  constructor(private readonly size: number) {
    this.#combination = zeros(size)
  }

  /**
   * Adds entry `at`, which is at this place in the body. Returns false if its dimensions or
   * measures are invalid, or there are more of them than can be declared.
   */
  add({ dimensions, measures }: Detailed, at: number, place: number): boolean {
    if (!isAbsent(dimensions)) {
      const combination = isObject(dimensions) ? this.#combinationOf(dimensions, place) : null
      if (combination === null) return false
      this.#combination[at] = combination.number
    }
    return isAbsent(measures) || (isObject(measures) && this.#addMeasures(measures, at, place))
  }

  /** Returns the details of all entries. Those of the body that are skipped are not among them. */
  read(entries: number): PostedDetails {
    const dimensions = this.#dimensions.toSorted(byName)
    const measures = this.#measures.toSorted(byName)
    return {
      dimensions: dimensions.map(({ name }) => name),
      ...this.#readCombinations(dimensions, entries),
      measures: measures.map(({ name, values }) => ({ name, values: cut(values, entries) })),
      places: {
        dimensions: dimensions.map(({ place }) => place),
        measures: measures.map(({ place }) => place),
      },
    }
  }

  /** Returns the combinations that entries have, each once, and that of each entry. */
  #readCombinations(dimensions: readonly Dimension[], entries: number) {
    const combinations: (string | null)[][] = []
    const known = new Map<string, number>()
    const numbers: (number | undefined)[] = []
    const numberOf = (posted: number) => {
      const values = new Array<string | null>(dimensions.length).fill(null)
      for (let at = this.#combinations[posted]!; at.parent !== null; at = at.parent) {
        values[dimensions.indexOf(at.dimension!)] = at.value
      }
      // No value is empty or contains a NUL.
      const key = this.#isMixed ? values.join('\0') : ''
      const number = (this.#isMixed ? known.get(key) : null) ?? combinations.push(values) - 1
      known.set(key, number)
      numbers[posted] = number
      return number
    }
    const combination = cut(this.#combination, entries).map(
      (number) => numbers[number] ?? numberOf(number),
    )
    return { combinations, combination }
  }

  /** Returns null if something is invalid. */
  #combinationOf(values: Record<string, unknown>, place: number): Combination | null {
    const dimensions = this.#dimensions
    let combination = this.#none
    let i = 0
    for (const name in values) {
      const value = values[name]
      if (value === null) continue
      let dimension: Dimension | null | undefined = dimensions[i++]
      if (dimension?.name !== name) dimension = this.#dimensionOf(name, place)
      if (dimension === null) return null
      const number = dimension.numbers.get(value) ?? this.#addValue(dimension, value)
      if (number === INVALID) return null
      combination =
        combination.children[number] ?? this.#addCombination(combination, dimension, number)
    }
    return combination
  }

  /** Returns null if there are too many. */
  #dimensionOf(name: string, place: number): Dimension | null {
    const known = this.#dimensions.find((one) => one.name === name)
    if (known !== undefined) return known
    if (this.#dimensions.length === MAX_DIMENSIONS) return null
    const dimension = { name, place, order: this.#dimensions.length, numbers: new Map() }
    this.#dimensions.push(dimension)
    return dimension
  }

  #addValue(dimension: Dimension, value: unknown): number {
    if (!isDimensionValue(value)) return INVALID
    const number = this.#values.push(value) - 1
    dimension.numbers.set(value, number)
    return number
  }

  #addCombination(parent: Combination, dimension: Dimension, value: number): Combination {
    const number = this.#combinations.length
    const combination = new Combination(number, parent, dimension, this.#values[value]!)
    if (dimension.order < (parent.dimension?.order ?? 0)) this.#isMixed = true
    this.#combinations.push(combination)
    parent.children[value] = combination
    return combination
  }

  #addMeasures(posted: Record<string, unknown>, at: number, place: number): boolean {
    const measures = this.#measures
    let i = 0
    for (const name in posted) {
      const value = posted[name]
      if (value === null) continue
      if (!isCount(value)) return false
      let measure: Measure | null | undefined = measures[i++]
      if (measure?.name !== name) measure = this.#measureOf(name, place)
      if (measure === null) return false
      measure.values[at] = value as number
    }
    return true
  }

  /** Returns null if there are too many. */
  #measureOf(name: string, place: number): Measure | null {
    const known = this.#measures.find((one) => one.name === name)
    if (known !== undefined) return known
    if (this.#measures.length === MAX_MEASURES) return null
    const measure = { name, place, values: zeros(this.size) }
    this.#measures.push(measure)
    return measure
  }
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)

function cut(column: number[], length: number): number[] {
  column.length = length
  return column
}

const zeros = (length: number): number[] => new Array(length).fill(0)

/**
 * Returns a function that takes one entry after the other, and returns what is wrong with its
 * dimensions or measures, or null.
 */
export function detailsCheck(): (entry: Detailed) => string | null {
  const names = { dimensions: new Set<string>(), measures: new Set<string>() }
  const check = (
    member: keyof Detailed,
    posted: unknown,
    isValid: (value: unknown) => boolean,
    expected: string,
  ) => {
    if (isAbsent(posted)) return null
    if (!isObject(posted)) return `.${member} is not an object`
    for (const name in posted) {
      if (posted[name] === null) continue
      if (!isValid(posted[name])) return `.${member} has a value that is not ${expected}`
      if (names[member].add(name).size <= MOST[member]) continue
      return `.${member} has more names, with those before, than can be declared: ${MOST[member]}`
    }
    return null
  }
  return ({ dimensions, measures }) =>
    check('dimensions', dimensions, isDimensionValue, VALUE) ??
    check('measures', measures, isCount, AMOUNT)
}

const MOST = { dimensions: MAX_DIMENSIONS, measures: MAX_MEASURES }
const VALUE = 'a text of 1 to 64 characters other than `other`'
const AMOUNT = 'a whole number from 0 to 2^53 - 1'

const isAbsent = (value: unknown) => value === undefined || value === null

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
