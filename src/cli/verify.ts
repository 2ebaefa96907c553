import { UserError } from '../platform/user-error.ts'
import { verifySample } from '../proofs/integrity/sample.ts'
import { type Report, verifyDatabase } from '../proofs/integrity/verify.ts'
import { logArchiveOf } from '../retention/log-archive.ts'
import { readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { lowerPriority } from './priority.ts'
import { Progress } from './progress.ts'
import { verifyArchive } from './verify-archive.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook verify [--sample] [--json]
       tallybook verify <directory of an archive>
  --sample   check what is in the database, and of old segments in an archive of more than
             1 GiB a few, others each day; then rows that follow from the log are not compared`

/** Exit codes: no problems; problems found; not checked. */
const EXIT = { clean: 0, problems: 1, failed: 2 }

/** Checks the service's database from end to end, in use or not, or an archive. */
export async function verify(args: string[]): Promise<void> {
  const options = new Set(args.filter((arg) => arg.startsWith('-')))
  const directories = args.filter((arg) => !options.has(arg))
  const isKnown = [...options].every((option) => option === '--json' || option === '--sample')
  if (!isKnown || directories.length > (options.size > 0 ? 0 : 1)) {
    throw new UserError(USAGE, { exitCode: EXIT.failed })
  }
  const [directory] = directories
  if (directory !== undefined) {
    if ((await verifyArchive(directory)) > 0) process.exitCode = EXIT.problems
    return
  }
  const isJson = options.has('--json')
  const report = await check(options.has('--sample'), untilInterrupted()).catch(toFailure)
  // Not console.log: output that a pipe has not taken yet would be lost at exit.
  await Bun.write(Bun.stdout, `${isJson ? JSON.stringify(report) : formatReport(report)}\n`)
  process.exit(report.problems === 0 ? EXIT.clean : EXIT.problems)
}

async function check(isSample: boolean, signal: AbortSignal): Promise<Report> {
  lowerPriority()
  const config = readConfig(process.env)
  const database = await openDatabase(config, (line) => console.error(line))
  const progress = new Progress('verify')
  try {
    return await (isSample ? verifySample : verifyDatabase)(database.address, {
      signal,
      archive: logArchiveOf(database.address, config.archive),
      onProgress: (checked, events) => progress.update(checked, events),
    })
  } finally {
    progress.end()
    await database.close()
  }
}

function toFailure(error: unknown): never {
  if (error instanceof Interrupted) throw error
  const reason = error instanceof UserError ? error.message : `${error}`
  throw new UserError(`The database could not be checked: ${reason}`, {
    exitCode: EXIT.failed,
    cause: error,
  })
}

/** Formats a report as text: the number of events checked, then each problem and its place. */
export function formatReport({ positions, events, problems, first, sampled }: Report): string {
  const lines = [`${events.toLocaleString('en-US')} events checked, up to ${positions}`]
  for (const { check, at, expected, found } of first) {
    lines.push(`${at} (${check}): expected ${expected}, found ${found}`)
  }
  if (problems > first.length) lines.push(`and ${problems - first.length} more`)
  if (sampled) lines.push('Only a sample of the archive was read, and no projection was compared')
  lines.push(problems === 0 ? 'No problems' : `${problems} problems`)
  return lines.join('\n')
}
