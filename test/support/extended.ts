/**
 * True for what a complete run leaves to `.ci/run` (docs/guides/testing.md): tests with other
 * programs and languages, and files that take long. It is true if files are named, or with
 * TALLYBOOK_TEST_EXTENDED=1.
 */
export const isExtended = process.env.TALLYBOOK_TEST_EXTENDED === '1'

/** What is said of tests that are left out because of that. */
export const LEFT_TO_CI = 'is left to .ci/run and to runs of named files'

/** True if tests with a program can run; otherwise a line says why they are skipped. */
export function hasPeer(program: string): boolean {
  const reason = !isExtended
    ? `${program} ${LEFT_TO_CI}`
    : Bun.which(program) === null
      ? `there is no ${program} on this machine`
      : null
  if (reason !== null) console.log(`skipped: ${reason}`)
  return reason === null
}
