import type { Logger } from 'pino'
import { type Details, OTHER } from '../events/details.ts'
import type { AttributedFlush } from '../events/flush.ts'

/** Milliseconds until the warning is logged again. */
const REPEAT_MS = 3_600_000

const WARNING =
  'dimensions: values are counted as `other` until midnight UTC, because a dimension has more ' +
  'than TALLYBOOK_DIMENSION_VALUES of them, or an account more than 10,000 combinations'

/** Returns the number of values of flushes' entries that are counted as OTHER. */
export const countOthers = (events: readonly AttributedFlush[]): number =>
  events.reduce((sum, { data: { details } }) => sum + (details ? othersOf(details) : 0), 0)

function othersOf({ combinations, counted, combination }: Details): number {
  if (counted === combinations) return 0
  const others = counted.map((values) => values.filter((value) => value === OTHER).length)
  return combination.reduce((sum, number) => sum + others[number]!, 0)
}

/**
 * Returns a function that takes numbers of such values and passes them on. It logs a warning at
 * once, and then every hour.
 */
export function warnOfOthers(
  logger: Logger,
  onOthers: (values: number) => void,
): (values: number) => void {
  let warnedAt = Number.NEGATIVE_INFINITY
  let unwarned = 0
  return (values) => {
    onOthers(values)
    unwarned += values
    const now = performance.now()
    if (now - warnedAt < REPEAT_MS) return
    warnedAt = now
    logger.warn({ values: unwarned }, WARNING)
    unwarned = 0
  }
}
