import type { Sequence } from '../events/sequence.ts'

/** Numbers of a sequence, both included. */
export type Range = [first: number, last: number]

/** What has arrived of an epoch: every number below `next`, except `missing`, in order. */
export type Epoch = { next: number; missing: Range[] }

/** Ranges that an epoch may miss; if there are more, the lowest are forgotten. */
export const MAX_RANGES = 1_000

/** Numbers that may be skipped at once. If there are more, the epoch begins anew. */
const MAX_JUMP = 1_000_000

/** An epoch of which nothing has arrived, and whose first number is `next`. */
export const beginAt = (next: number): Epoch => ({ next, missing: [] })

/**
 * Adds the numbers of a flush. Numbers may arrive in any order, and again: only after a bound was
 * reached does the order matter.
 */
export function arrive(epoch: Epoch, { first, last }: Pick<Sequence, 'first' | 'last'>): Epoch {
  const { next } = epoch
  if (first - next > MAX_JUMP) return beginAt(last + 1)
  const missing = first < next ? without(epoch.missing, first, last) : [...epoch.missing]
  if (first > next) missing.push([next, first - 1])
  return { next: Math.max(next, last + 1), missing: missing.slice(-MAX_RANGES) }
}

/** Returns ranges without the numbers from `first` through `last`. */
function without(ranges: readonly Range[], first: number, last: number): Range[] {
  return ranges.flatMap(([from, to]): Range[] => {
    if (to < first || from > last) return [[from, to]]
    const rest: Range[] = []
    if (from < first) rest.push([from, first - 1])
    if (to > last) rest.push([last + 1, to])
    return rest
  })
}
