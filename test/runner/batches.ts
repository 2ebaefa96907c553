import type { Run } from './queue.ts'

/** Test files that one process runs one after the other, with the same number of shards. */
export type Batch = { files: string[]; shards: number; ms: number }

/** Which files may share a process: none, those that take less than SHORT_MS, or any. */
export type Sharing = 'none' | 'short' | 'any'

const SHORT_MS = 20_000

/** Milliseconds that a batch may take: none of its results are visible before its end. */
const MAX_BATCH_MS = 40_000

/**
 * A batch takes at most one part of so many of what is left, so that the last ones are short and all
 * workers end at about the same time. But it may take MIN_BATCH_MS.
 */
const PARTS = 3 * navigator.hardwareConcurrency
const MIN_BATCH_MS = 5_000

/**
 * Puts files with the same number of shards together into few batches, the longest first. A process
 * takes a third of a second of processor time to load and compile what most files test, and many
 * files run in less: 19 short ones took 19 s of it alone and 12 s together. Files of the console
 * share a browser, too.
 */
export function makeBatches(
  runs: readonly Run[],
  msOf: (run: Run) => number,
  sharing: Sharing,
): Batch[] {
  const longestMs = { none: 0, short: SHORT_MS, any: Number.POSITIVE_INFINITY }[sharing]
  const singles = runs
    .map(({ file, shards }) => ({ files: [file], shards, ms: msOf({ file, shards }) }))
    .sort(longestFirst)
  const others = singles.filter(({ ms }) => ms >= longestMs)
  const shared = share(singles.filter(({ ms }) => ms < longestMs))
  return [...others, ...shared].sort(longestFirst)
}

/** Fills batches in the order of paths: files of one folder test the same code. */
function share(singles: readonly Batch[]): Batch[] {
  let leftMs = singles.reduce((sum, { ms }) => sum + ms, 0)
  let maxMs = 0
  const batches: Batch[] = []
  for (const single of singles.toSorted(byShardsAndPath)) {
    const last = batches.at(-1)
    if (last?.shards === single.shards && last.ms + single.ms <= maxMs) {
      last.files.push(...single.files)
      last.ms += single.ms
    } else {
      maxMs = Math.min(Math.max(leftMs / PARTS, MIN_BATCH_MS), MAX_BATCH_MS)
      batches.push({ ...single, files: [...single.files] })
    }
    leftMs -= single.ms
  }
  return batches
}

function byShardsAndPath(a: Batch, b: Batch): number {
  return a.shards - b.shards || (a.files[0]! < b.files[0]! ? -1 : 1)
}

function longestFirst(a: Batch, b: Batch): number {
  return b.ms - a.ms
}
