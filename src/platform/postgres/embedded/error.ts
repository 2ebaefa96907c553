import { UserError } from '../../user-error.ts'

/** A problem that the user must solve. The message is a full sentence and needs no stack. */
export class EmbeddedPostgresError extends UserError {
  override name = 'EmbeddedPostgresError'
}

/** Thrown if another process holds the data directory's lock. */
export class DataDirInUse extends EmbeddedPostgresError {}

/**
 * Wraps an error of the system or SQLite in a sentence about what failed. Returns our own errors,
 * and bugs, unchanged.
 */
export function explain(error: unknown, what: string): unknown {
  const isRefusal = error instanceof Error && 'code' in error && typeof error.code === 'string'
  return isRefusal
    ? new EmbeddedPostgresError(`${what}: ${error.message}`, { cause: error })
    : error
}
