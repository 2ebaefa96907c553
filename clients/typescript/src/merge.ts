import { Accumulators, keyOf } from './accumulators.ts'
import type { Flush, FlushName, Kind } from './flush.ts'
import { PATHS, parseBody, seal } from './flush.ts'

// Adds flushes up that were never attempted. No clock, no disk.

/** The most entries of a merged flush: far from the service's limit on bodies, so no 413. */
export const MAX_MERGED_ENTRIES = 20_000

const QUARTER_HOUR = 900

export type Mergeable = { name: FlushName; sealedAt: number }

/**
 * Finds neighbours to merge, in pairs or longer runs: of one epoch, with adjacent ranges, no parts.
 * `sameQuarter` restricts runs to one quarter hour. Runs are in the order of their first flush, and
 * have at most `longest` flushes.
 */
export function findRuns<Item extends Mergeable>(
  flushes: readonly Item[],
  sameQuarter: boolean,
  longest = 16,
): Item[][] {
  const whole = flushes.filter(({ name }) => name.parts.length === 0)
  const sorted = [...whole].sort((a, b) =>
    a.name.epoch === b.name.epoch
      ? a.name.first - b.name.first
      : a.name.epoch < b.name.epoch
        ? -1
        : 1,
  )
  const runs: Item[][] = []
  for (const flush of sorted) {
    const run = runs.at(-1)
    const previous = run?.at(-1)
    if (run && previous && run.length < longest && areNeighbours(previous, flush, sameQuarter))
      run.push(flush)
    else runs.push([flush])
  }
  return runs.filter((run) => run.length > 1).sort((a, b) => a[0]!.sealedAt - b[0]!.sealedAt)
}

function areNeighbours(before: Mergeable, after: Mergeable, sameQuarter: boolean): boolean {
  if (before.name.epoch !== after.name.epoch || before.name.last + 1 !== after.name.first)
    return false
  return !sameQuarter || quarterOf(before) === quarterOf(after)
}

const quarterOf = ({ sealedAt }: Mergeable) => Math.floor(sealedAt / QUARTER_HOUR)

/**
 * Merges flushes with adjacent ranges, in their order. Returns null if the result would have too
 * many entries or an inexact sum.
 */
export function merge(
  instance: string,
  flushes: readonly { name: FlushName; flush: Flush }[],
): { name: FlushName; flush: Flush } | null {
  const kind: Kind = flushes[0]!.flush.path === PATHS.api ? 'api' : 'token'
  const accumulators = new Accumulators(kind)
  for (const { flush } of flushes)
    for (const entry of parseBody(flush).keys)
      if (!accumulators.add(keyOf(entry), entry)) return null
  if (accumulators.size > MAX_MERGED_ENTRIES) return null
  const first = flushes[0]!
  const last = flushes.at(-1)!
  const name = { ...first.name, last: last.name.last }
  const sealedAt = Math.max(...flushes.map(({ flush }) => flush.sealed_at))
  const isLast = last.flush.sequence?.endsWith(';last') ?? false
  return { name, flush: seal(instance, kind, name, sealedAt, accumulators.take(), isLast) }
}
