import { adviseOn } from '../errors.ts'
import { Refusal } from './error.ts'

/** Says why a server can't be used: what follows "db.example:5432: ". */
export function explainReason(error: unknown): string {
  if (error instanceof Refusal) return error.message
  const { code = '', message = String(error) } = error as { code?: string; message?: string }
  return REASONS[code] ?? `${message}${adviseOn(error)}`
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'there is no such socket',
  EACCES: 'this user may not enter the directory of the socket',
  ENOTFOUND: 'there is no host of this name',
  EAI_AGAIN: 'the name of the host can not be looked up now',
  ETIMEDOUT: 'it does not answer in time',
  CONNECT_TIMEOUT: 'it does not answer in time',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
  EHOSTDOWN: 'there is no way to it',
  ECONNRESET: 'it closed the connection at once; it may not be PostgreSQL',
  EPIPE: 'it closed the connection at once; it may not be PostgreSQL',
  CONNECTION_CLOSED: 'it closed the connection at once; it may not be PostgreSQL',
}
