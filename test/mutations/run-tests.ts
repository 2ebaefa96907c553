import type { Tree } from './tree.ts'

/** The first test that failed in a run and its message, or what else went wrong. */
export type Failure = {
  /** null if the runner itself failed. */
  file: string | null
  test: string
  message: string
}

/** Milliseconds after which a run counts as hung: a fault may make every test time out. */
const LIMIT_MS = 60 * 60_000

/** Runs tests in a tree (all without paths) up to the first failure and returns it, if any. */
export async function runTests(tree: Tree, paths: readonly string[]): Promise<Failure | null> {
  const runner = Bun.spawn(
    [process.execPath, '--no-orphans', 'test/run.ts', '--bail', '--keep', ...paths],
    {
      cwd: tree.path,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
    },
  )
  const [output, errors] = await Promise.all([runner.stdout.text(), runner.stderr.text()])
  const exitCode = await runner.exited
  if (exitCode === 0) return null
  const failure = readFailure(output)
  return failure ?? { file: null, test: `the runner, with ${exitCode}`, message: errors.trim() }
}

/**
 * Reads `failed: 4 shard(s), test/log/append.db.test.ts:80 the test's name: the message`. Both the
 * name and the message may contain a colon; Bun's line `(fail) group > the test's name [3.00ms]`
 * has the name alone.
 */
function readFailure(output: string): Failure | null {
  const [, file, rest] = /^failed: \d+ shard\(s\), (\S+?)(?::\d+)? (.*)$/m.exec(output) ?? []
  if (file === undefined || rest === undefined) return null
  const failed = output.matchAll(/^\(fail\) (?:.* > )?(.*?)(?: \[[\d.]+m?s\])?$/gm)
  const names = [...failed].map(([, name]) => name!)
  const name = names.find((one) => rest.startsWith(`${one}: `)) ?? rest.split(': ')[0]!
  return { file, test: `${file} ${name}`, message: rest.slice(name.length + 2) }
}
