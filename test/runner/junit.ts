/** How many tests ended how, and those that failed, a line each. */
export type Counts = { passed: number; failed: number; skipped: number; failures: string[] }

export const NONE: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] }

export const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
})

/**
 * Reads the report of a test process. A process that left no report, or failed without a failed
 * test, was ended from inside or found no test: that is a failure, whatever its exit code.
 */
export function readReport(xml: string, file: string, exitCode: number | null): Counts {
  const counts = readCounts(xml)
  const failures = readFailures(xml)
  const ran = counts.passed + counts.failed + counts.skipped
  if (ran > 0 && (exitCode === 0) === (counts.failed === 0)) return { ...counts, failures }
  const reason = ran === 0 ? 'ran no test' : `ended with exit code ${exitCode}`
  return { ...counts, failed: counts.failed + 1, failures: [...failures, `${file} ${reason}`] }
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
