import { join } from 'node:path'
import type { Mutation } from './mutation.ts'
import { runTests } from './run-tests.ts'
import { Tree } from './tree.ts'

/** What became of a mutation: the test that caught it, or null, and after how many seconds. */
export type Result = { mutation: Mutation; caughtBy: string | null; seconds: number }

/** Where a campaign keeps its copies of the tree, and what tests leave behind. */
export type Place = { tree: Tree; folder: string }

export async function preparePlaces(folder: string, workers: number): Promise<Place[]> {
  const places: Place[] = []
  for (let i = 0; i < workers; i++) {
    places.push({ tree: await Tree.copy(join(folder, String(i))), folder })
  }
  return places
}

/** Runs what the mutations name without a fault; null where all of it passes, else what fails. */
export async function runBaseline(
  { tree, folder }: Place,
  mutations: readonly Mutation[],
): Promise<string | null> {
  const paths = [...new Set(mutations.flatMap(({ tests }) => tests))]
  const { passed, test } = await runTests(tree, paths, { folder })
  return passed ? null : test
}

/** Makes one fault after the other in each place, and looks which test catches it. */
export async function runMutations(
  places: readonly Place[],
  mutations: readonly Mutation[],
  onResult: (result: Result) => void,
): Promise<Result[]> {
  const results = new Map<Mutation, Result>()
  const left = mutations.values()
  await Promise.all(
    places.map(async (place) => {
      for (const mutation of left) {
        const started = performance.now()
        const caughtBy = await place.tree.with(mutation, () => findCatcher(place, mutation))
        const seconds = Math.round((performance.now() - started) / 1000)
        results.set(mutation, { mutation, caughtBy, seconds })
        onResult({ mutation, caughtBy, seconds })
      }
    }),
  )
  return mutations.map((mutation) => results.get(mutation)!)
}

/** The nearest tests first, then those further away, at last the whole suite. */
async function findCatcher(
  { tree, folder }: Place,
  { tests, shards }: Mutation,
): Promise<string | null> {
  for (const paths of tests.map((path) => [path])) {
    const outcome = await runTests(tree, paths, { folder, shards })
    if (!outcome.passed) return outcome.test
  }
  const outcome = await runTests(tree, [], { folder })
  return outcome.passed ? null : outcome.test
}
