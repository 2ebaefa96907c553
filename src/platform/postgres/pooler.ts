import { UserError } from '../user-error.ts'
import { TemporarilyUnavailable } from './errors.ts'
import { openBare, type ServerAddress, type Sql } from './pool.ts'

/** Milliseconds in which two connections have to be answered. */
const ANSWER_MS = 15_000

/**
 * A pooler that has two servers' sessions and takes turns looks like none if each client asks once;
 * asked twice in a row, one of them gets another session. Others' traffic may hide it once.
 */
const ROUNDS = 4

/** What is said of such a pooler, after what leads to it. */
export const SHARES_SESSIONS =
  'a pooler that gives a connection another session for each transaction or statement, as ' +
  'PgBouncer with pool_mode = transaction: the service needs sessions of its own, so name the ' +
  'database itself, or a pool with pool_mode = session.'

/** Throws UserError where DATABASE_URL leads to a pooler that shares sessions. */
export async function refuseSharedSessions(address: ServerAddress): Promise<void> {
  if (await sharesSessions(address)) {
    throw new UserError(`DATABASE_URL leads to ${SHARES_SESSIONS}`)
  }
}

/**
 * True where a connection has a session only for a transaction, or for a statement: it is another
 * one later on, or that of another connection which is open too. Nothing is set or left in any
 * session. Rejects where the server can't be reached.
 */
export async function sharesSessions(
  address: ServerAddress,
  answerMs = ANSWER_MS,
): Promise<boolean> {
  // The embedded server, by its socket.
  if (!('url' in address)) return false
  const clients = [0, 1].map(() => openBare(address))
  let timer: ReturnType<typeof setTimeout>
  const late = new Promise<never>((_, reject) => {
    const message = `two connections at once are not answered in ${answerMs / 1000} s`
    timer = setTimeout(() => reject(new TemporarilyUnavailable(message)), answerMs)
  })
  try {
    return await Promise.race([comparePids(clients), late])
  } finally {
    clearTimeout(timer!)
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

/** By the simple protocol: prepared statements are what such poolers have trouble with. */
async function readPid(client: Sql): Promise<number> {
  const [row] = await client.unsafe('select pg_backend_pid() as pid').simple()
  return row!.pid
}
