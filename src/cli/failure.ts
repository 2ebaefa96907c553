import { ConnectError } from '../platform/postgres/connection/error.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { UserError } from '../platform/user-error.ts'

/**
 * Turns a failure of the disk or the database during a command into a UserError whose message
 * starts with `what`. Returns any other error unchanged: it is a bug.
 */
export function explainFailure(error: unknown, what: string): unknown {
  if (error instanceof UserError || !(error instanceof Error)) return error
  if (error instanceof ConnectError) {
    return new UserError(`${what}: the database can't be reached (${error.message}).`, {
      cause: error,
    })
  }
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UserError(`${what}: the disk is full.`, { cause: error })
  }
  // A missing file has the same code as a missing socket.
  const isMissingFile = code === 'ENOENT' && syscall !== 'connect'
  if (isUnavailable(error) && !isMissingFile) {
    return new UserError(`${what}: the database is unavailable or busy (${error.message}).`, {
      cause: error,
    })
  }
  if (syscall !== undefined) return new UserError(`${what}: ${error.message}`, { cause: error })
  return error
}
