import { isCount } from '../../events/columns.ts'
import { formatCombination, isDimensionValue, type PostedDetails } from '../../events/details.ts'

/** An entry's members for dimensions and measures. Their values may have any type. */
type Detailed = { dimensions?: unknown; measures?: unknown }

/** Collects the dimensions and measures of a flush's entries. Most flushes have none. */
export class DetailsReader {
  /** The number of each combination, by its names and values in the order posted. */
  readonly #numbers = new Map<string, number>([['', 0]])
  readonly #combinations: Record<string, string>[] = [{}]
  /** By entry, for those seen since the first with details; `#before` were seen before it. */
  readonly #combination: number[] = []
  #before = 0
  readonly #measures = new Map<string, number[]>()
  readonly #places = { dimensions: new Map<string, number>(), measures: new Map<string, number>() }
  #hasDetails = false

  /**
   * Adds the next entry, which is at this place in the body. Returns false if its dimensions or
   * measures are invalid.
   */
  add(entry: object, place: number): boolean {
    const { dimensions, measures } = entry as Detailed
    const hasDetails = !isAbsent(dimensions) || !isAbsent(measures)
    if (!hasDetails && !this.#hasDetails) {
      this.#before++
      return true
    }
    if (hasDetails && findInvalid(entry) !== null) return false
    this.#hasDetails = true
    this.#combination.push(this.#numberOf((dimensions ?? {}) as Record<string, string>, place))
    if (isAbsent(measures)) return true
    const at = this.#before + this.#combination.length - 1
    for (const [name, value] of Object.entries(measures as Record<string, number | null>)) {
      if (value !== null) this.#addMeasure(name, value, at, place)
    }
    return true
  }

  /** Returns what was added; undefined if no entry has dimensions or measures. */
  read(): PostedDetails | undefined {
    if (!this.#hasDetails) return undefined
    const dimensions = [...this.#places.dimensions.keys()].sort()
    const combinations: (string | null)[][] = []
    const known = new Map<string, number>()
    // Entries may name the same dimensions in another order.
    const numbers: (number | undefined)[] = []
    const numberOf = (posted: number) => {
      const values = dimensions.map((name) => this.#combinations[posted]![name] ?? null)
      const text = formatCombination(dimensions, values)
      const number = known.get(text) ?? combinations.push(values) - 1
      known.set(text, number)
      numbers[posted] = number
      return number
    }
    const posted = [...new Array<number>(this.#before).fill(0), ...this.#combination]
    const combination = posted.map((number) => numbers[number] ?? numberOf(number))
    const measures = [...this.#measures.keys()].sort().map((name) => {
      const values = this.#measures.get(name)!
      return { name, values: pad(values, combination.length) }
    })
    const places = {
      dimensions: dimensions.map((name) => this.#places.dimensions.get(name)!),
      measures: measures.map(({ name }) => this.#places.measures.get(name)!),
    }
    return { dimensions, combinations, combination, measures, places }
  }

  #numberOf(dimensions: Record<string, string | null>, place: number): number {
    let key = ''
    for (const name in dimensions) {
      const value = dimensions[name]
      // No value contains a NUL, and no name that is declared.
      if (value !== null) key += `${name}\0${value}\0`
    }
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const values: Record<string, string> = Object.create(null)
    for (const [name, value] of Object.entries(dimensions)) {
      if (value === null) continue
      values[name] = value
      if (!this.#places.dimensions.has(name)) this.#places.dimensions.set(name, place)
    }
    this.#numbers.set(key, this.#combinations.length)
    return this.#combinations.push(values) - 1
  }

  #addMeasure(name: string, value: number, at: number, place: number): void {
    let values = this.#measures.get(name)
    if (values === undefined) {
      values = []
      this.#measures.set(name, values)
      this.#places.measures.set(name, place)
    }
    if (values.length < at) pad(values, at)
    values.push(value)
  }
}

function pad(values: number[], length: number): number[] {
  while (values.length < length) values.push(0)
  return values
}

/** Returns what is wrong with the dimensions or measures of an entry, or null. */
export function findInvalid({ dimensions, measures }: Detailed): string | null {
  if (!isAbsent(dimensions)) {
    if (!isObject(dimensions)) return '.dimensions is not an object'
    for (const name in dimensions) {
      const value = (dimensions as Record<string, unknown>)[name]
      if (value !== null && !isDimensionValue(value)) {
        return '.dimensions has a value that is not a text of 1 to 64 characters other than `other`'
      }
    }
  }
  if (!isAbsent(measures)) {
    if (!isObject(measures)) return '.measures is not an object'
    for (const name in measures) {
      const value = (measures as Record<string, unknown>)[name]
      if (value !== null && !isCount(value)) {
        return '.measures has a value that is not a whole number from 0 to 2^53 - 1'
      }
    }
  }
  return null
}

const isAbsent = (value: unknown) => value === undefined || value === null

const isObject = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
