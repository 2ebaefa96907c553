import { ConnectError } from './connection/error.ts'

/** Codes of postgres.js: the connection could not be made, or was lost during a statement. */
const CONNECTION_CODES = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
])

/**
 * SQLSTATE classes and codes that mean "not now": connection failure (08), rollback by a conflict
 * (40), out of memory, disk or connections (53), operator intervention (57), I/O (58), lock timeout
 * (55P03), a server that became read-only (25006), a transaction that was idle too long (25P03),
 * clocks that differ too much (TB002), an archive that has to be read first (TB003). A missing
 * segment of the log is another: it is made soon.
 */
const UNAVAILABLE_CLASSES = new Set(['08', '40', '53', '57', '58'])
const UNAVAILABLE_CODES = new Set(['55P03', '25006', '25P03', 'TB002', 'TB003'])

/**
 * Thrown if something can't be done now for a reason other than a database error. The message is a
 * short, stable text for programs.
 */
export class TemporarilyUnavailable extends Error {
  override name = 'TemporarilyUnavailable'

  constructor(
    message: string,
    /** Seconds after which a retry may succeed. */
    readonly seconds = 1,
    /** Further explanation for people. */
    readonly detail?: string,
  ) {
    super(message)
  }
}

/** True if a later retry may succeed. The statement may or may not have taken effect. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof TemporarilyUnavailable || error instanceof ConnectError) return true
  const code = codeOf(error)
  if (code === null) return false
  if (CONNECTION_CODES.has(code) || UNAVAILABLE_CODES.has(code)) return true
  if (isMissingSegment(error)) return true
  return code.length === 5 && UNAVAILABLE_CLASSES.has(code.slice(0, 2))
}

/** True if the connection is lost, and with it the transaction that was open on it. */
export function isConnectionLost(error: unknown): boolean {
  return CONNECTION_CODES.has(codeOf(error) ?? '')
}

/**
 * Returns the node of a Citus cluster, `host:port`, that the coordinator could not reach or where
 * its statement failed. Returns null if the error names no node.
 */
export function nodeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  const { message, cause } = error
  const { where } = error as { where?: unknown }
  const text = typeof where === 'string' ? `${message}\n${where}` : message
  const named = /(?:remote node (?:\S+@)?|connect to |executing command on )(\S+:\d+)/.exec(text)
  return named?.[1] ?? (cause === undefined ? null : nodeOf(cause))
}

/** True for errors of the database or its connection, false for errors of this program. */
export function isDatabaseError(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof Error && error.name === 'PostgresError')
}

/** True if move_checkpoint failed because another projector has moved the checkpoint. */
export function isStaleCheckpoint(error: unknown): boolean {
  return codeOf(error) === 'TB001'
}

/** True if the user of the session lacks a privilege. */
export function isNotAllowed(error: unknown): boolean {
  return codeOf(error) === '42501'
}

/** True if a lock could not be acquired in time. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === '55P03'
}

/** True if a transaction was rolled back because it and others waited for each other's locks. */
export function isDeadlock(error: unknown): boolean {
  return codeOf(error) === '40P01'
}

/**
 * True if a transaction was rolled back because of a concurrent one, so that a retry may succeed:
 * another event took its position, a serialization failure, a deadlock.
 */
export function isOvertaken(error: unknown): boolean {
  return isDuplicate(error) || ['40001', '40P01'].includes(codeOf(error) ?? '')
}

/**
 * True if a Citus node doesn't know the tables or can't plan a statement, which happens while a
 * change of the cluster's metadata reaches the nodes.
 */
export function isNotInStep(error: unknown): boolean {
  return ['0A000', '42P01'].includes(codeOf(error) ?? '')
}

/**
 * True if the log has no segment for an event. PostgreSQL reports this as a violated check, but
 * without the name of a constraint.
 */
export function isMissingSegment(error: unknown): boolean {
  const { constraint_name: constraint } = error as { constraint_name?: string }
  return codeOf(error) === '23514' && !constraint
}

/** True if a unique index already has the row. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(error) === '23505'
}

/** True if a schema or table that the first start creates doesn't exist yet. */
export function isMissingSchema(error: unknown): boolean {
  const code = codeOf(error)
  return code === '3F000' || code === '42P01'
}

/** True for errors that the server itself reports, as opposed to errors of the connection. */
export function isSaidByServer(error: unknown): boolean {
  return /^\d[0-9A-Z]{4}$/.test(codeOf(error) ?? '')
}

/**
 * True if the server refuses this user, whatever the password: no entry of its pg_hba.conf allows
 * the connection, for example, or the role may not log in.
 */
export function isShutOut(error: unknown): boolean {
  return codeOf(error) === '28000'
}

/** True if this server takes no connections now but another may: it is starting, or full. */
export function isBusyServer(error: unknown): boolean {
  return codeOf(error) === '57P03' || codeOf(error) === '53300'
}

/** Returns advice on an error that refuses a new connection, or an empty text if there is none. */
export function adviseOn(error: unknown): string {
  const isHbaError = error instanceof Error && error.message.includes('pg_hba.conf')
  return isHbaError ? HBA_ADVICE : (ADVICE[codeOf(error) ?? ''] ?? '')
}

const HBA_ADVICE = ', so its pg_hba.conf must allow this user to connect from here'

const ADVICE: Record<string, string> = {
  '28P01': ', so correct the user or the password of the URL',
  '3D000': ', so create it, or correct the name in the URL',
  '53300': ', so raise its max_connections',
}

function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
