import { join } from 'node:path'
import type { Mutation } from './mutation.ts'
import { type Failure, runTests } from './run-tests.ts'
import { Tree } from './tree.ts'

/** The result of a mutation: the failure that caught it, or null, and the seconds that took. */
export type Result = { mutation: Mutation; caughtBy: Failure | null; seconds: number }

/** Copies the tree once for each worker. */
export async function copyTrees(folder: string, workers: number): Promise<Tree[]> {
  const trees: Tree[] = []
  for (let i = 0; i < workers; i++) {
    trees.push(await Tree.copy(join(folder, String(i))))
  }
  return trees
}

/** Runs the tests that the mutations name, without a fault; returns the first failure, if any. */
export function runBaseline(tree: Tree, mutations: readonly Mutation[]): Promise<Failure | null> {
  return runTests(tree, [...new Set(mutations.flatMap(({ tests }) => tests))])
}

/**
 * Makes one fault after the other in each tree, and finds a test that catches it: among those that
 * the mutation names or, with `inSuite`, all.
 */
export async function runMutations(
  trees: readonly Tree[],
  mutations: readonly Mutation[],
  inSuite: boolean,
  onResult: (result: Result) => void,
): Promise<Result[]> {
  const results = new Map<Mutation, Result>()
  const left = mutations.values()
  await Promise.all(
    trees.map(async (tree) => {
      for (const mutation of left) {
        const result = await findCatcher(tree, mutation, inSuite)
        results.set(mutation, result)
        onResult(result)
      }
    }),
  )
  return mutations.map((mutation) => results.get(mutation)!)
}

/** Runs the nearest tests first, then those further away, finally the whole suite. */
async function findCatcher(tree: Tree, mutation: Mutation, inSuite: boolean): Promise<Result> {
  let seconds = 0
  for (const paths of [...mutation.tests.map((path) => [path]), ...(inSuite ? [[]] : [])]) {
    const started = performance.now()
    const failure = await tree.with(mutation, () => runTests(tree, paths))
    seconds += Math.round((performance.now() - started) / 1000)
    if (failure !== null && (await passesWithout(tree, failure, paths))) {
      return { mutation, caughtBy: failure, seconds }
    }
  }
  return { mutation, caughtBy: null, seconds }
}

/** False for a flaky test, which also fails without the fault: it has caught nothing. */
async function passesWithout(
  tree: Tree,
  { file }: Failure,
  paths: readonly string[],
): Promise<boolean> {
  return (await runTests(tree, file === null ? paths : [file])) === null
}
