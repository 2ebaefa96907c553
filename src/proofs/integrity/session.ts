import { holdMoves } from '../../platform/postgres/moves-lock.ts'
import { connectAsService, type ServerAddress, type Sql } from '../../platform/postgres/pool.ts'
import { readShipped } from '../../platform/shipped/files.ts'

/** The connection of a verification. */
export type Session = {
  sql: Sql
  /** Makes the running statement, if there is one, fail. */
  cancel: () => void
}

/**
 * Opens a connection for one verification, which collects idempotency keys in temporary tables of
 * this session. Concurrent verifications therefore never meet, and a killed one leaves nothing. It
 * may read what the service may read, and writes nothing but these tables. Meanwhile no usage is
 * moved to days.
 */
export async function openSession(address: ServerAddress): Promise<Session> {
  const sql = connectAsService(address, 'verify', {
    // A step takes well under a second. If a slow disk holds one up, it is not cancelled for that.
    statement_timeout: '0',
    idle_in_transaction_session_timeout: '60s',
    work_mem: '64MB',
    temp_buffers: '64MB',
    jit: 'off',
  })
  try {
    const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
    await sql.unsafe(readShipped('src/proofs/integrity/session.sql'))
    await holdMoves(sql)
    return { sql, cancel: () => void cancelStatement(address, row!.pid) }
  } catch (error) {
    await sql.end({ timeout: 5 })
    throw error
  }
}

/** Cancels through another connection. If that fails, the statement ends in about a second. */
async function cancelStatement(address: ServerAddress, pid: number): Promise<void> {
  const other = connectAsService(address, 'verify')
  try {
    await other`select pg_cancel_backend(${pid})`
  } catch {
    // The statement ends by itself, as described above.
  } finally {
    await other.end({ timeout: 1 })
  }
}
