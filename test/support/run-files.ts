import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Glob } from 'bun'

/** What became of tests, and those that failed, a line each. */
export type Counts = { passed: number; failed: number; skipped: number; failures: string[] }

const ROOT = join(import.meta.dir, '../..')

/** Milliseconds: a test that takes longer has hung. */
const TEST_TIMEOUT_MS = 120_000

/** The test files whose path has one of `wanted` in it; all of them where nothing is. */
export async function findTests(wanted: string[]): Promise<string[]> {
  const files = await Array.fromAsync(new Glob('test/**/*.test.ts').scan(ROOT))
  const chosen = files.filter((file) => wanted.length === 0 || wanted.some((w) => file.includes(w)))
  if (chosen.length === 0) throw new Error(`No test file matches ${wanted.join(' ')}.`)
  return chosen.sort()
}

/** Runs test files with so many shards; `names`: only tests whose name this pattern finds. */
export async function runFiles(
  files: string[],
  shards: number,
  report: string,
  names?: RegExp,
): Promise<Counts> {
  const tests = Bun.spawn(
    [
      process.execPath,
      'test',
      `--timeout=${TEST_TIMEOUT_MS}`,
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      ...(names === undefined ? [] : ['--test-name-pattern', names.source]),
      ...files.map((file) => `./${file}`),
    ],
    {
      cwd: ROOT,
      env: { ...process.env, TALLYBOOK_TEST_SHARDS: String(shards) },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  const exitCode = await tests.exited
  // No report: the runner was ended from inside. That fails, whatever its exit code says.
  const xml = await readFile(report, 'utf8').catch(() => '')
  const counts = readCounts(xml)
  const missing = files.filter((file) => !xml.includes(file))
  const failures = [...readFailures(xml), ...missing.map((file) => `${file} ran no test`)]
  if (missing.length > 0 || (exitCode !== 0 && counts.failed === 0)) {
    counts.failed += Math.max(missing.length, 1)
  }
  return { ...counts, failures: failures.map((failure) => `${shards} shard(s), ${failure}`) }
}

/** From `<testsuites … tests="8" … failures="0" skipped="0" …>`, the file's first such element. */
function readCounts(xml: string): Omit<Counts, 'failures'> {
  const suites = /<testsuites [^>]*>/.exec(xml)?.[0] ?? ''
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suites)?.[1] ?? 0)
  const failed = number('failures') + number('errors')
  const skipped = number('skipped')
  return { passed: number('tests') - failed - skipped, failed, skipped }
}

/** From `<testcase name="…" classname="…" … file="…" line="…"><failure … message="…">`. */
function readFailures(xml: string): string[] {
  return [...xml.matchAll(/<testcase ([^>]*)>\s*<failure ([^>]*)>/g)].map(([, test, failure]) => {
    const of = (attributes: string, name: string) =>
      unescapeXml(new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? '')
    const [told] = of(failure!, 'message').split('\n')
    return `${of(test!, 'file')}:${of(test!, 'line')} ${of(test!, 'name')}: ${told}`
  })
}

const unescapeXml = (text: string) =>
  text
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&(lt|gt|quot|apos);/g, (_, name: 'lt') => XML_NAMES[name])
    .replaceAll('&amp;', '&')

const XML_NAMES = { lt: '<', gt: '>', quot: '"', apos: "'" }

/** Both together. */
export const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
})

/** Prints what failed and the closing line, and ends the process with the code that says the same. */
export function report({ passed, failed, skipped, failures }: Counts): never {
  // Once more where who looks at the end of a long output finds them.
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(failed > 0 || passed === 0 ? 1 : 0)
}
