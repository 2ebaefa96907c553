import { StartError } from '../start-error.ts'
import { verifyArchive } from './verify-archive.ts'

const USAGE = 'Usage: tallybook verify <directory>'

/** Checks an archive. Exit code 0: nothing is wrong; 1: problems; 2: it could not be checked. */
export async function verify(args: string[]): Promise<void> {
  const [directory, ...rest] = args
  if (!directory || directory.startsWith('-') || rest.length > 0) {
    throw new StartError(USAGE, { exitCode: 2 })
  }
  if ((await verifyArchive(directory)) > 0) process.exitCode = 1
}
