import type fc from 'fast-check'

/** How often a property is tried: TALLYBOOK_TEST_RUNS, or as often as suits an everyday run. */
export function runsOf(usual: number): number {
  return Number(process.env.TALLYBOOK_TEST_RUNS ?? usual)
}

/** TALLYBOOK_TEST_SEED tries what a report of a failure names; without it every run is another. */
export function parametersOf<Values>(runs: number): fc.Parameters<Values> {
  const seed = process.env.TALLYBOOK_TEST_SEED
  return {
    numRuns: runs,
    includeErrorInReport: true,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  }
}

/** Milliseconds after which so many runs have hung. */
export const timeoutOf = (runs: number) => 120_000 + runs * 1_000
