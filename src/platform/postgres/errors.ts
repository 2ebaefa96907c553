import { ConnectError } from './connection/error.ts'

/** postgres.js: the connection could not be made, or was lost with the statement on its way. */
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
 * SQLSTATE classes and codes that say "not now": connection (08), rolled back by a conflict (40),
 * out of memory, disk or connections (53), the operator (57), I/O (58), a lock not had in time
 * (55P03), a server that became read-only (25006), a transaction that was idle too long (25P03),
 * clocks that are apart (TB002).
 */
const UNAVAILABLE_CLASSES = new Set(['08', '40', '53', '57', '58'])
const UNAVAILABLE_CODES = new Set(['55P03', '25006', '25P03', 'TB002'])

/**
 * It can't be done now, though the database has said nothing of the kind. The message is one short,
 * stable line for programs.
 */
export class TemporarilyUnavailable extends Error {
  override name = 'TemporarilyUnavailable'

  constructor(
    message: string,
    /** Seconds after which it may be possible. */
    readonly seconds = 1,
    /** What a person may want to know besides. */
    readonly detail?: string,
  ) {
    super(message)
  }
}

/** True where trying again later may succeed; whether the statement took effect isn't known. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof TemporarilyUnavailable || error instanceof ConnectError) return true
  const code = codeOf(error)
  if (code === null) return false
  if (CONNECTION_CODES.has(code) || UNAVAILABLE_CODES.has(code)) return true
  return code.length === 5 && UNAVAILABLE_CLASSES.has(code.slice(0, 2))
}

/** True where the connection is gone, and with it the transaction that was open on it. */
export function isConnectionLost(error: unknown): boolean {
  return CONNECTION_CODES.has(codeOf(error) ?? '')
}

/**
 * The node of a Citus cluster that an error is about, `host:port`: one that the coordinator could
 * not reach, or where a statement of its failed. null where it names
 * none.
 */
export function nodeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  const { message, cause } = error
  const { where } = error as { where?: unknown }
  const text = typeof where === 'string' ? `${message}\n${where}` : message
  const named = /(?:remote node (?:\S+@)?|connect to |executing command on )(\S+:\d+)/.exec(text)
  return named?.[1] ?? (cause === undefined ? null : nodeOf(cause))
}

/** True for what a database has said, or its connection; false for what this code throws. */
export function isDatabaseError(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof Error && error.name === 'PostgresError')
}

/** Raised by check_clock: the clocks of the database and of this process are far apart. */
export function isClockApart(error: unknown): boolean {
  return codeOf(error) === 'TB002'
}

/** Raised by move_checkpoint: another projector has moved it. */
export function isStaleCheckpoint(error: unknown): boolean {
  return codeOf(error) === 'TB001'
}

/** True for what the user of the session may not do. */
export function isNotAllowed(error: unknown): boolean {
  return codeOf(error) === '42501'
}

/** True where a lock was not had in time. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === '55P03'
}

/**
 * True where a transaction was rolled back as a whole because of what others did, so that the next
 * try may succeed: another event took its position, it would not have been serial, a deadlock.
 */
export function isOvertaken(error: unknown): boolean {
  return isDuplicate(error) || ['40001', '40P01'].includes(codeOf(error) ?? '')
}

/**
 * True where a node of Citus doesn't know the tables, or couldn't plan: while the nodes are told of
 * a change among them.
 */
export function isNotInStep(error: unknown): boolean {
  return ['0A000', '42P01'].includes(codeOf(error) ?? '')
}

/** True where a unique index has the row already. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(error) === '23505'
}

/** True where a schema, table or row that a first start makes isn't there yet. */
export function isMissingSchema(error: unknown): boolean {
  const code = codeOf(error)
  return code === '3F000' || code === '42P01'
}

/** True for what a server has said itself, and not the way to it. */
export function isSaidByServer(error: unknown): boolean {
  return /^\d[0-9A-Z]{4}$/.test(codeOf(error) ?? '')
}

/** True where a server's pg_hba.conf doesn't let a user in, from there or in this way. */
export function isShutOut(error: unknown): boolean {
  return codeOf(error) === '28000'
}

/** True where this server takes no connections now, and another may: it starts, or is full. */
export function isBusyServer(error: unknown): boolean {
  return codeOf(error) === '57P03' || codeOf(error) === '53300'
}

/** What to do about what a server says to a new connection; empty where it is not known. */
export function adviseOn(error: unknown): string {
  const isHbaError = error instanceof Error && error.message.includes('pg_hba.conf')
  return isHbaError ? HBA_ADVICE : (ADVICE[codeOf(error) ?? ''] ?? '')
}

const HBA_ADVICE = ', so its pg_hba.conf has to let this user in from here'

const ADVICE: Record<string, string> = {
  '28P01': ', so correct the user or the password of the URL',
  '3D000': ', so create it, or correct the name in the URL',
  '53300': ', so raise its limit of connections',
}

function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
