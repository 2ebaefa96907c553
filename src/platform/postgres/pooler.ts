import { within } from '../async/deadline.ts'
import { UserError } from '../user-error.ts'
import { TemporarilyUnavailable } from './errors.ts'
import { openBare, type ServerAddress, type Sql } from './pool.ts'

/** How long (ms) both connections together may take to be answered. */
const ANSWER_MS = 15_000

/**
 * A pooler with two server sessions that alternates between them goes unnoticed if each client asks
 * once; if each asks twice in a row, one of them gets another session. Traffic of other clients may
 * hide that in one round, but hardly in four.
 */
const ROUNDS = 4

/** How messages describe such a pooler; the text continues "X leads to" or "X is". */
export const SHARES_SESSIONS =
  'a pooler that assigns a session per transaction or statement, such as PgBouncer with ' +
  'pool_mode = transaction. The service needs its own session per connection: connect to the ' +
  'database directly, or to a pool with pool_mode = session.'

/** Throws UserError if DATABASE_URL leads to a pooler that shares sessions. */
export async function refuseSharedSessions(address: ServerAddress): Promise<void> {
  if (await sharesSessions(address)) {
    throw new UserError(`DATABASE_URL leads to ${SHARES_SESSIONS}`)
  }
}

/**
 * Returns true if a connection has its session only for a transaction or statement: later it has
 * another one, or it has the session of another open connection. Changes no state of any session.
 * Rejects if the server is unreachable or slow to answer.
 */
export async function sharesSessions(
  address: ServerAddress,
  answerMs = ANSWER_MS,
): Promise<boolean> {
  // The embedded server's socket has no pooler in front of it.
  if (!('url' in address)) return false
  const clients = [0, 1].map(() => openBare(address))
  const message = `two connections at once are not answered in ${answerMs / 1000} s`
  try {
    return await within(answerMs, comparePids(clients), () => new TemporarilyUnavailable(message))
  } finally {
    await Promise.all(clients.map((client) => client.end({ timeout: 0 })))
  }
}

async function comparePids(clients: Sql[]): Promise<boolean> {
  const own: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, client] of clients.entries()) {
      for (const pid of [await readPid(client), await readPid(client)]) {
        own[i] ??= pid
        if (pid !== own[i] || own.indexOf(pid) !== i) return true
      }
    }
  }
  return false
}

/** Uses the simple protocol, because such poolers have trouble with prepared statements. */
async function readPid(client: Sql): Promise<number> {
  const [row] = await client.unsafe('select pg_backend_pid() as pid').simple()
  return row!.pid
}
