import { UserError } from '../platform/user-error.ts'
import { type Report, verifyDatabase } from '../proofs/integrity/verify.ts'
import { logArchiveOf } from '../retention/log-archive.ts'
import { readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { lowerPriority } from './priority.ts'
import { Progress } from './progress.ts'
import { verifyArchive } from './verify-archive.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = 'Usage: tallybook verify [--json | <directory of an archive>]'

/** Exit codes: no problems; problems found; not checked. */
const EXIT = { clean: 0, problems: 1, failed: 2 }

/** Checks the service's database from end to end, in use or not, or an archive. */
export async function verify(args: string[]): Promise<void> {
  const [what, ...rest] = args
  const isJson = what === '--json'
  if (rest.length > 0 || (what?.startsWith('-') && !isJson)) {
    throw new UserError(USAGE, { exitCode: EXIT.failed })
  }
  if (what !== undefined && !isJson) {
    if ((await verifyArchive(what)) > 0) process.exitCode = EXIT.problems
    return
  }
  const report = await check(untilInterrupted()).catch(toFailure)
  // Not console.log: output that a pipe has not taken yet would be lost at exit.
  await Bun.write(Bun.stdout, `${isJson ? JSON.stringify(report) : formatReport(report)}\n`)
  process.exit(report.problems === 0 ? EXIT.clean : EXIT.problems)
}

async function check(signal: AbortSignal): Promise<Report> {
  lowerPriority()
  const config = readConfig(process.env)
  const database = await openDatabase(config, (line) => console.error(line))
  const progress = new Progress('verify')
  try {
    return await verifyDatabase(database.address, {
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
export function formatReport({ positions, events, problems, first }: Report): string {
  const lines = [`${events.toLocaleString('en-US')} events checked, up to ${positions}`]
  for (const { check, at, expected, found } of first) {
    lines.push(`${at} (${check}): expected ${expected}, found ${found}`)
  }
  if (problems > first.length) lines.push(`and ${problems - first.length} more`)
  lines.push(problems === 0 ? 'No problems' : `${problems} problems`)
  return lines.join('\n')
}
