import { UserError } from '../../user-error.ts'

/** Something a person has to settle; the message is a full sentence and needs no stack. */
export class EmbeddedPostgresError extends UserError {
  override name = 'EmbeddedPostgresError'
}

/** Another process holds the data directory's lock. */
export class DataDirInUse extends EmbeddedPostgresError {}

/**
 * Puts what the system or SQLite refused into a sentence about the thing that failed; our own
 * errors, and those that are bugs, come back as they are.
 */
export function explain(error: unknown, what: string): unknown {
  const isRefusal = error instanceof Error && 'code' in error && typeof error.code === 'string'
  return isRefusal
    ? new EmbeddedPostgresError(`${what}: ${error.message}`, { cause: error })
    : error
}
