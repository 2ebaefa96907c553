import type { Problem } from '../archive/check.ts'
import { verifyArchive as checkArchive } from '../archive/verify.ts'
import { UserError } from '../platform/user-error.ts'
import { explainFailure } from './failure.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { Progress } from './progress.ts'

/** Maximum number of problems printed; an entirely wrong file has one on every line. */
const MAX_PRINTED = 1_000

/** Exit code for an archive that could not be checked. */
const NOT_CHECKED = 2

/**
 * Checks an archive without a database, prints each problem by file and position, and returns their
 * number. Throws UserError with exit code 2 if it could not be checked.
 */
export async function verifyArchive(directory: string): Promise<number> {
  const signal = untilInterrupted()
  const progress = new Progress('verify')
  let problems = 0
  const report = ({ file, at, message }: Problem) => {
    problems++
    if (problems <= MAX_PRINTED) console.log(`${file}${at === null ? '' : ` ${at}`}: ${message}`)
    if (problems === MAX_PRINTED + 1) console.log('…')
  }
  try {
    const manifest = await checkArchive({
      directory,
      signal,
      report,
      onProgress: (events, total) => progress.update(events, total),
    })
    progress.end()
    if (problems > 0) console.log(`${problems} problem(s) in ${directory}`)
    else console.log(`${manifest?.events ?? 0} events in ${directory}: no problems`)
    return problems
  } catch (error) {
    progress.end()
    if (error instanceof Interrupted) throw error
    const explained = explainFailure(error, `${directory} could not be checked`)
    if (!(explained instanceof UserError)) throw explained
    throw new UserError(explained.message, { cause: error, exitCode: NOT_CHECKED })
  }
}
