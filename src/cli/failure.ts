import { ConnectError } from '../platform/postgres/connection/error.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { UserError } from '../platform/user-error.ts'

/**
 * Puts what the disk or the database refused amid a command into a sentence; what is a bug comes
 * back as it is.
 */
export function explainFailure(error: unknown, what: string): unknown {
  if (error instanceof UserError || !(error instanceof Error)) return error
  if (error instanceof ConnectError) {
    return new UserError(`${what}, as the database can't be reached: ${error.message}.`, {
      cause: error,
    })
  }
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UserError(`${what}: the disk is full.`, { cause: error })
  }
  // A file that is missing has the same code as a socket that is.
  const isMissingFile = code === 'ENOENT' && syscall !== 'connect'
  if (isUnavailable(error) && !isMissingFile) {
    return new UserError(`${what}: the database went away, or is busy (${error.message}).`, {
      cause: error,
    })
  }
  if (syscall !== undefined) return new UserError(`${what}: ${error.message}`, { cause: error })
  return error
}
