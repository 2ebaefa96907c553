import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Tree } from './tree.ts'

/** What became of a run of tests: `test` is the first that failed, or what else went wrong. */
export type Outcome = { passed: boolean; test: string }

/** Milliseconds after which a run has hung: a fault may make every test wait in vain. */
const LIMIT_MS = 30 * 60_000

/** Runs tests in a tree, up to the first that fails; without paths all there are. */
export async function runTests(
  tree: Tree,
  paths: readonly string[],
  options: { shards?: number | undefined; folder: string },
): Promise<Outcome> {
  const { shards, folder } = options
  const canBail = readFileSync(join(tree.path, 'test/run.ts'), 'utf8').includes("'bail'")
  const runner = Bun.spawn(
    [
      ...[process.execPath, '--no-orphans', 'test/run.ts'],
      ...(canBail ? ['--bail'] : []),
      ...(shards === undefined ? [] : ['--shards', String(shards)]),
      ...paths,
    ],
    {
      cwd: tree.path,
      // What tests leave behind when they fail goes with the folder.
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
    },
  )
  const reading = new Reading()
  const onLine = (line: string) => {
    reading.add(line)
    if (!canBail && reading.failing !== null) runner.kill()
  }
  await Promise.all([eachLine(runner.stdout, onLine), eachLine(runner.stderr, onLine)])
  const exitCode = await runner.exited
  if (exitCode === 0) return { passed: true, test: '' }
  const other = runner.signalCode === null ? `exit code ${exitCode}` : 'the run did not end'
  return { passed: false, test: reading.failed ?? reading.failing ?? `${other}: ${reading.last}` }
}

/** What the output of a run says. */
class Reading {
  /** From the runner's summary, which begins with what failed first. */
  failed: string | null = null
  /** From Bun's own lines, which come as it happens. */
  failing: string | null = null
  last = ''
  #file = ''

  add(line: string): void {
    if (line.trim() !== '') this.last = line.trim()
    const [, file] = /^(test\/\S+\.test\.ts):$/.exec(line) ?? []
    this.#file = file ?? this.#file
    const [, name] = /^\(fail\) (.*?)(?: \[[\d.]+m?s\])?$/.exec(line) ?? []
    if (name !== undefined) this.failing ??= `${this.#file} ${name}`
    const [, place, rest] = /^failed: \d+ shard\(s\), (\S+?)(?::\d+)? (.*)$/.exec(line) ?? []
    if (place !== undefined) this.failed ??= `${place} ${rest!.split(': ')[0]}`
  }
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const line of lines) onLine(line)
  }
  if (rest !== '') onLine(rest)
}
