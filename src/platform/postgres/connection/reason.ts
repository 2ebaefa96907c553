import { adviseOn } from '../errors.ts'
import { Refusal } from './error.ts'

/** Explains why a server can't be used. The text follows "db.example:5432: ". */
export function explainReason(error: unknown): string {
  if (error instanceof Refusal) return error.message
  const { code = '', message = String(error) } = error as { code?: string; message?: string }
  return REASONS[code] ?? `${message}${adviseOn(error)}`
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'no server is listening there',
  ENOENT: 'there is no such socket',
  EACCES: 'this user is not allowed to enter the directory of the socket',
  ENOTFOUND: 'there is no host with this name',
  EAI_AGAIN: 'the host name could not be looked up',
  ETIMEDOUT: 'the server did not answer in time',
  CONNECT_TIMEOUT: 'the server did not answer in time',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the host',
  EHOSTDOWN: 'the host is down',
  ECONNRESET: 'the server closed the connection immediately; it may not be PostgreSQL',
  EPIPE: 'the server closed the connection immediately; it may not be PostgreSQL',
  CONNECTION_CLOSED: 'the server closed the connection immediately; it may not be PostgreSQL',
}
