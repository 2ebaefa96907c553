import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tryLock } from '../../src/platform/postgres/embedded/lock.ts'
import { isExtended, LEFT_TO_CI } from './extended.ts'

// Programs and tests in Go.

/**
 * Flags of `go build`, `go vet` and `go test`. With an empty cache, Go compiles its own packages too.
 * Without inlining and optimization that takes a third less processor time. What has been compiled
 * serves all commands, because all have these flags.
 */
export const GO_FLAGS = '-gcflags=all=-l -N'

/** What the test processes of a run share. */
const shared = process.env.TALLYBOOK_TEST_FOLDER

type Ran = { isSuccess: boolean; output: string }

/** Runs `go` in a folder. */
export async function runGo(
  args: readonly string[],
  cwd: string,
  { env = {}, timeout = 0 }: { env?: Record<string, string>; timeout?: number } = {},
): Promise<Ran> {
  const child = Bun.spawn(['go', ...args], {
    cwd,
    env: {
      // For Go's cache, if there is no home.
      HOME: shared ?? tmpdir(),
      ...process.env,
      CGO_ENABLED: '0',
      GOTOOLCHAIN: 'local',
      // Without the commit of this checkout, which is irrelevant to the programs.
      GOFLAGS: '-buildvcs=false',
      // The compiler collects less garbage: a sixth less processor time.
      GOGC: '400',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(timeout > 0 && { timeout }),
  })
  const [code, output, errors] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ])
  return { isSuccess: code === 0, output: `${output}${errors}` }
}

/** Returns null if tests with Go 1.`minor` or newer can run, or why they can't. */
export async function whyNoGo(minor: number): Promise<string | null> {
  if (!isExtended) return `Go ${LEFT_TO_CI}`
  const reason = `there is no Go 1.${minor} or newer on this machine`
  if (Bun.which('go') === null) return reason
  const { output } = await runGo(['env', 'GOVERSION'], tmpdir())
  const found = Number(/^go1\.(\d+)/.exec(output)?.[1] ?? 0)
  return found < minor ? reason : null
}

/**
 * Builds a program and returns its path. The first call in a run compiles it; calls in other
 * processes wait for that, and find that it is up to date. Outside a run it is built in `folder`.
 * Throws if it doesn't compile.
 */
export async function buildGoProgram(
  source: string,
  name: string,
  folder: string,
): Promise<string> {
  const program = join(shared ?? folder, name)
  let lock = tryLock(`${program}.lock`)
  for (; lock === null; lock = tryLock(`${program}.lock`)) await Bun.sleep(50)
  try {
    const { isSuccess, output } = await runGo(['build', GO_FLAGS, '-o', program, '.'], source)
    if (!isSuccess) throw new Error(output)
    return program
  } finally {
    lock.release()
  }
}
