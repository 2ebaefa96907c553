import { addExact, type Exact } from '../../events/exact.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import { addMeasures, type Measures } from '../../read-model/projections/detail-totals.ts'
import { sharesOf } from '../posted-amounts.ts'

/** Counts that flushes posted under a name in one quarter hour, with one combination. */
export type Used = {
  name: string
  /** RFC 3339. */
  time: string
  /** Null for what was posted without dimensions and measures. */
  combination: string | null
  requests: number
  seconds: number
  /** By number. */
  measures: number[]
  /** In the first row of a name and quarter hour; 0 in the others. */
  flushes: number
  accessed: number
}

/** Names and their quarter hours and combinations of one adoption: some 50 MB of its event. */
export const MAX_USED = 500_000

type Part = { requests: Exact; seconds: Exact; measures: Measures }
type UsedSum = {
  name: string
  time: string
  accessed: number
  flushes: Exact
  requests: Exact
  seconds: Exact
  lastPosition: number
  /** The part of it that had dimensions or measures, by combination. */
  parts: Map<string, Part>
}

/** An entry of a flush: what it posted, and the measures of row `i`, if it has a combination. */
type Entry = {
  requests: number
  seconds: number
  accessed: number
  combination: string | null
  measures: Parameters<typeof addMeasures>[1]
  i: number
}

/** Sums of what flushes posted, by name and quarter hour: about as many as MAX_USED at most. */
export class UsedSums {
  readonly #sums = new Map<string, UsedSum>()
  #parts = 0

  /** The number of rows, if no sum is too large for one. */
  get size(): number {
    return this.#sums.size + this.#parts
  }

  /**
   * Adds an entry of the flush at a position, which counts in usage at a time (RFC 3339), if there
   * is room for it.
   */
  add(name: string, { position, at }: { position: number; at: string }, entry: Entry): void {
    const time = quarterOf(at)
    if (!this.#hasRoom(name, time, entry.combination)) return
    const sum = this.#sumOf(name, time)
    sum.requests = addExact(sum.requests, entry.requests)
    sum.seconds = addExact(sum.seconds, entry.seconds)
    sum.accessed = Math.max(sum.accessed, entry.accessed)
    // A flush may name a key several times.
    if (sum.lastPosition !== position) sum.flushes = addExact(sum.flushes, 1)
    sum.lastPosition = position
    if (entry.combination === null) return
    const part = this.#partOf(sum, entry.combination)
    part.requests = addExact(part.requests, entry.requests)
    part.seconds = addExact(part.seconds, entry.seconds)
    addMeasures(part.measures, entry.measures, entry.i)
  }

  /** Adds sums of a name and quarter hour. */
  addSums(
    { name, time, accessed }: Pick<Used, 'name' | 'time' | 'accessed'>,
    [requests, seconds, flushes]: readonly [Exact, Exact, Exact],
  ): void {
    const sum = this.#sumOf(name, time)
    sum.requests = addExact(sum.requests, requests)
    sum.seconds = addExact(sum.seconds, seconds)
    sum.flushes = addExact(sum.flushes, flushes)
    sum.accessed = Math.max(sum.accessed, accessed)
  }

  /** Adds what of these sums had a combination. Leaves out what has no sums. */
  addPart({ name, time }: Pick<Used, 'name' | 'time'>, combination: string, part: Part): void {
    const sum = this.#sums.get(`${time} ${name}`)
    if (sum === undefined) return
    const found = this.#partOf(sum, combination)
    found.requests = addExact(found.requests, part.requests)
    found.seconds = addExact(found.seconds, part.seconds)
    for (const [number, value] of part.measures.entries()) {
      found.measures[number] = addExact(found.measures[number] ?? 0, value)
    }
  }

  /** Returns the rows. A sum too large for one has several. */
  toRows(): Used[] {
    return [...this.#sums.values()].flatMap((sum) => [...rowsOf(sum)])
  }

  #hasRoom(name: string, time: string, combination: string | null): boolean {
    if (this.size <= MAX_USED) return true
    const sum = this.#sums.get(`${time} ${name}`)
    return sum !== undefined && (combination === null || sum.parts.has(combination))
  }

  #sumOf(name: string, time: string): UsedSum {
    const key = `${time} ${name}`
    const found = this.#sums.get(key)
    if (found !== undefined) return found
    const sum = { ...NOTHING, name, time, parts: new Map() }
    this.#sums.set(key, sum)
    return sum
  }

  #partOf(sum: UsedSum, combination: string): Part {
    const found = sum.parts.get(combination)
    if (found !== undefined) return found
    const part = { requests: 0, seconds: 0, measures: [] }
    sum.parts.set(combination, part)
    this.#parts++
    return part
  }
}

const NOTHING = { requests: 0, seconds: 0, flushes: 0, accessed: 0, lastPosition: -1 }

/** The start of the quarter hour of a time, as the log writes times. */
const quarterOf = (time: string) => startOfQuarterHour(time).replace('+', '.000000+')

/** Yields what was posted without dimensions and measures, and then each part. */
function* rowsOf({ name, time, accessed, flushes, parts, ...sum }: UsedSum): Generator<Used> {
  const rest = { requests: sum.requests, seconds: sum.seconds }
  const found = [...parts].filter(([, part]) => !isNothing(part))
  for (const [, part] of found) {
    rest.requests = addExact(rest.requests, -part.requests)
    rest.seconds = addExact(rest.seconds, -part.seconds)
  }
  let left = flushes
  const hasRest = found.length === 0 || rest.requests !== 0 || rest.seconds !== 0
  const all: [string | null, Part][] = [
    ...(hasRest ? [[null, { ...rest, measures: [] }] as [null, Part]] : []),
    ...found,
  ]
  for (const [combination, part] of all) {
    const sums = [part.requests, part.seconds, left, ...part.measures]
    left = 0
    for (const [requests, seconds, taken, ...measures] of sharesOf(sums)) {
      yield {
        ...{ name, time, combination, accessed, measures },
        ...{ requests: requests!, seconds: seconds!, flushes: taken! },
      }
    }
  }
}

const isNothing = ({ requests, seconds, measures }: Part) =>
  requests === 0 && seconds === 0 && measures.every((value) => value === 0)
