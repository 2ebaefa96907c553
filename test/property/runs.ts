import type fc from 'fast-check'

// How often properties are tried, and with which values:
//
// - TALLYBOOK_TEST_RUNS_FACTOR=10 tries each property ten times as often as usual;
//   TALLYBOOK_TEST_RUNS=1000 tries each a thousand times.
// - Without TALLYBOOK_TEST_SEED each run tries the same values, so that results are reproducible.
//   TALLYBOOK_TEST_SEED=random tries different ones each time and prints the seed;
//   TALLYBOOK_TEST_SEED=<that seed> tries those again.

const { TALLYBOOK_TEST_RUNS, TALLYBOOK_TEST_RUNS_FACTOR, TALLYBOOK_TEST_SEED } = process.env

/** Returns how often to try a property that is tried `usual` times by default. */
export function runsOf(usual: number): number {
  const runs = TALLYBOOK_TEST_RUNS || usual * Number(TALLYBOOK_TEST_RUNS_FACTOR || 1)
  return Math.max(1, Math.round(Number(runs)))
}

const seed = readSeed()

/** Returns the parameters with which fast-check tries a property `runs` times. */
export function parametersOf<Values>(runs: number): fc.Parameters<Values> {
  return { numRuns: runs, seed, includeErrorInReport: true }
}

function readSeed(): number {
  if (TALLYBOOK_TEST_SEED !== 'random') return Number(TALLYBOOK_TEST_SEED || 1)
  const seed = Math.floor(Math.random() * 2 ** 31)
  console.log(`TALLYBOOK_TEST_SEED=${seed}`)
  return seed
}

/** Returns the timeout (ms) of this many runs: longer means that they hang. */
export const timeoutOf = (runs: number) => 300_000 + runs * 2_000
