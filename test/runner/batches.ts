import type { Run } from './queue.ts'

/** Test files that one process runs one after the other, with a number of shards. */
export type Batch = { files: string[]; shards: number; ms: number }

/** Milliseconds that a batch may take: whoever waits for its files sees nothing before. */
const LONGEST_MS = 10_000

/** Each file by itself, the longest first. */
export const alone = (runs: readonly Run[], msOf: (run: Run) => number): Batch[] =>
  runs
    .map(({ file, shards }) => ({ files: [file], shards, ms: msOf({ file, shards }) }))
    .sort((a, b) => b.ms - a.ms)

/** How many batches there are of short files: more than cores, as most tests wait now and then. */
const BATCHES = navigator.hardwareConcurrency + 1

/**
 * Few batches, each of files that are run with the same number of shards: a process takes a third
 * of a second to load what most files test, and many files take less.
 */
export function together(runs: readonly Run[], msOf: (run: Run) => number): Batch[] {
  const singles = alone(runs, msOf)
  const allMs = singles.reduce((sum, { ms }) => sum + ms, 0)
  const maxMs = Math.min(allMs / BATCHES, LONGEST_MS)
  const batches: Batch[] = []
  for (const single of singles) {
    const fits = (batch: Batch) => batch.shards === single.shards && batch.ms + single.ms <= maxMs
    const batch = batches.find(fits)
    if (batch === undefined) batches.push(single)
    else {
      batch.files.push(...single.files)
      batch.ms += single.ms
    }
  }
  return batches.sort((a, b) => b.ms - a.ms)
}
