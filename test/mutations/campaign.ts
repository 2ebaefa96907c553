import { join } from 'node:path'
import type { Mutation } from './mutation.ts'
import { type Failure, runTests } from './run-tests.ts'
import { Tree } from './tree.ts'

/** What became of a mutation: the failure that caught it, if any did, after how many seconds. */
export type Result = { mutation: Mutation; caughtBy: Failure | null; seconds: number }

/** Where a campaign keeps its copies of the tree, and what tests leave behind. */
export type Place = { tree: Tree; folder: string }

export async function preparePlaces(folder: string, workers: number): Promise<Place[]> {
  const places: Place[] = []
  for (let i = 0; i < workers; i++) {
    places.push({ tree: await Tree.copy(join(folder, String(i))), folder })
  }
  return places
}

/** Runs what the mutations name without a fault; gives what fails all the same. */
export function runBaseline(
  { tree, folder }: Place,
  mutations: readonly Mutation[],
): Promise<Failure | null> {
  return runTests(tree, [...new Set(mutations.flatMap(({ tests }) => tests))], folder)
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
        const result = await findCatcher(place, mutation)
        results.set(mutation, result)
        onResult(result)
      }
    }),
  )
  return mutations.map((mutation) => results.get(mutation)!)
}

/** The nearest tests first, then those further away, at last the whole suite. */
async function findCatcher(place: Place, mutation: Mutation): Promise<Result> {
  let seconds = 0
  for (const paths of [...mutation.tests.map((path) => [path]), []]) {
    const started = performance.now()
    const { tree, folder } = place
    const failure = await tree.with(mutation, () => runTests(tree, paths, folder))
    seconds += Math.round((performance.now() - started) / 1000)
    if (failure !== null && (await passesWithout(place, failure, paths))) {
      return { mutation, caughtBy: failure, seconds }
    }
  }
  return { mutation, caughtBy: null, seconds }
}

/** False for a test that fails without the fault too, now or then: it has caught nothing. */
async function passesWithout(
  { tree, folder }: Place,
  { file }: Failure,
  paths: readonly string[],
): Promise<boolean> {
  return (await runTests(tree, file === null ? paths : [file], folder)) === null
}
