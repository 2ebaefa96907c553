/** The number of tests by result, and one line for each that failed. */
export type Counts = { passed: number; failed: number; skipped: number; failures: string[] }

export const NONE: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] }

export const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
})

/** The result of a test file. */
export type FileResult = { file: string; counts: Counts; ms: number }

/**
 * Reads the report of a test process, by file. If a file has no report, or the exit code
 * contradicts the results, the process was ended from inside or found no test. That counts as a
 * failure.
 */
export function readReport(
  xml: string,
  files: readonly string[],
  exitCode: number | null,
): FileResult[] {
  const results = files.map((file) => readFileResult(xml, file))
  const hasFailed = results.some(({ counts }) => counts.failed > 0)
  if ((exitCode === 0) !== hasFailed) return results
  const [first, ...others] = results
  const failure = failedFor(`${files.join(' ')} ended with exit code ${exitCode}`)
  return [{ ...first!, counts: add(first!.counts, failure) }, ...others]
}

/** Reads `<testsuite name="<file>" … tests="8" … failures="0" skipped="0" time="1.2" …>`. */
function readFileResult(xml: string, file: string): FileResult {
  const suites = xml.match(/<testsuite [^>]*>/g) ?? []
  const suite = suites.find((tag) => tag.startsWith(`<testsuite name="${file}"`)) ?? ''
  const number = (name: string) => Number(new RegExp(` ${name}="([\\d.]+)"`).exec(suite)?.[1] ?? 0)
  const failed = number('failures') + number('errors')
  const skipped = number('skipped')
  const passed = number('tests') - failed - skipped
  const failures = readFailures(xml).filter((failure) => failure.startsWith(`${file}:`))
  const counts = { passed, failed, skipped, failures }
  const hasRun = number('tests') > 0
  const ms = number('time') * 1_000
  return { file, ms, counts: hasRun ? counts : failedFor(`${file} ran no test`) }
}

const failedFor = (reason: string): Counts => ({ ...NONE, failed: 1, failures: [reason] })

/** Reads `<testcase name="…" classname="…" … file="…" line="…"><failure … message="…">`. */
function readFailures(xml: string): string[] {
  return [...xml.matchAll(/<testcase ([^>]*)>\s*<failure ([^>]*)>/g)].map(([, test, failure]) => {
    const read = (attributes: string, name: string) =>
      unescapeXml(new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? '')
    const [message] = read(failure!, 'message').split('\n')
    return `${read(test!, 'file')}:${read(test!, 'line')} ${read(test!, 'name')}: ${message}`
  })
}

const unescapeXml = (text: string) =>
  text
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&(lt|gt|quot|apos);/g, (_, name: 'lt') => XML_NAMES[name])
    .replaceAll('&amp;', '&')

const XML_NAMES = { lt: '<', gt: '>', quot: '"', apos: "'" }
