import type { Run } from './queue.ts'

/** Test files that one process runs one after the other, with the same number of shards. */
export type Batch = { files: string[]; shards: number; ms: number }

/** Milliseconds that a batch may take: none of its results are visible before its end. */
const MAX_BATCH_MS = 10_000

const longestFirst = (a: Batch, b: Batch) => b.ms - a.ms

/** Puts each file into its own batch, the longest first. */
const alone = (runs: readonly Run[], msOf: (run: Run) => number): Batch[] =>
  runs
    .map(({ file, shards }) => ({ files: [file], shards, ms: msOf({ file, shards }) }))
    .sort(longestFirst)

/**
 * Puts each file that needs a database into its own batch, and the others together: they leave
 * nothing behind that another could see.
 */
export const aloneWithDatabase = (runs: readonly Run[], msOf: (run: Run) => number): Batch[] => {
  const needsDatabase = ({ file }: Run) => file.endsWith('.db.test.ts')
  return [
    ...alone(runs.filter(needsDatabase), msOf),
    ...together(
      runs.filter((run) => !needsDatabase(run)),
      msOf,
    ),
  ].sort(longestFirst)
}

/** The number of batches to aim for: more than cores, because most tests spend time waiting. */
const BATCHES = navigator.hardwareConcurrency + 1

/**
 * Puts files with the same number of shards together into few batches: a process takes a third of a
 * second to load what most files test, and many files run in less.
 */
export function together(runs: readonly Run[], msOf: (run: Run) => number): Batch[] {
  const singles = alone(runs, msOf)
  const allMs = singles.reduce((sum, { ms }) => sum + ms, 0)
  const maxMs = Math.min(allMs / BATCHES, MAX_BATCH_MS)
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
  return batches.sort(longestFirst)
}
