import { addExact, type Exact } from '../../events/exact.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import { sharesOf } from '../posted-amounts.ts'

/** Counts that flushes posted under a name in one quarter hour. */
export type Used = {
  name: string
  /** RFC 3339. */
  time: string
  requests: number
  seconds: number
  flushes: number
  accessed: number
}

/** Names and their quarter hours of one adoption: some 50 MB of its event. */
export const MAX_USED = 500_000

type UsedSum = Pick<Used, 'name' | 'time' | 'accessed' | 'flushes'> & {
  requests: Exact
  seconds: Exact
  lastPosition: number
}

/** Sums of what flushes posted, by name and quarter hour: at most one more than MAX_USED. */
export class UsedSums {
  readonly #sums = new Map<string, UsedSum>()

  get size(): number {
    return this.#sums.size
  }

  /**
   * Adds an entry of the flush at a position, which counts in usage at a time (RFC 3339), if there
   * is room for it.
   */
  add(
    name: string,
    { position, at }: { position: number; at: string },
    [requests, seconds]: [number, number],
    accessed: number,
  ): void {
    const time = quarterOf(at)
    const key = `${time} ${name}`
    let sum = this.#sums.get(key)
    if (sum === undefined) {
      if (this.#sums.size > MAX_USED) return
      sum = { ...NOTHING, name, time }
      this.#sums.set(key, sum)
    }
    sum.requests = addExact(sum.requests, requests)
    sum.seconds = addExact(sum.seconds, seconds)
    sum.accessed = Math.max(sum.accessed, accessed)
    // A flush may name a key several times.
    if (sum.lastPosition !== position) sum.flushes++
    sum.lastPosition = position
  }

  toRows(): Used[] {
    return [...this.#sums.values()].flatMap(({ name, time, accessed, ...counts }) =>
      toUsed({ name, time, accessed }, [counts.requests, counts.seconds, counts.flushes]),
    )
  }
}

const NOTHING = { requests: 0, seconds: 0, flushes: 0, accessed: 0, lastPosition: -1 }

/** The start of the quarter hour of a time, as the log writes times. */
const quarterOf = (time: string) => startOfQuarterHour(time).replace('+', '.000000+')

/** Returns requests, seconds and flushes as rows: several if a sum is too large for one. */
export function toUsed(
  row: Pick<Used, 'name' | 'time' | 'accessed'>,
  sums: readonly Exact[],
): Used[] {
  return [...sharesOf(sums)].map(([requests, seconds, flushes]) => ({
    ...row,
    ...{ requests: requests!, seconds: seconds!, flushes: flushes! },
  }))
}
