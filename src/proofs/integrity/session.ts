import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsService, type ServerAddress, type Sql } from '../../platform/postgres/pool.ts'

/** A verification's connection. */
export type Session = {
  sql: Sql
  /** Makes the statement that runs, if one does, fail. */
  cancel: () => void
}

/**
 * One connection that a verification has to itself: all that it accumulates is in temporary tables
 * of this session, so several at once never meet, and a killed one leaves nothing. It reads
 * what the service may read, and writes nothing but these.
 */
export async function openSession(address: ServerAddress): Promise<Session> {
  const sql = connectAsService(address, 'verify', {
    // A step takes well under a second; one that a stuck disk holds up isn't given up for it.
    statement_timeout: '0',
    idle_in_transaction_session_timeout: '60s',
    work_mem: '64MB',
    temp_buffers: '64MB',
    jit: 'off',
  })
  try {
    const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
    await sql.unsafe(await readFile(join(import.meta.dir, 'session.sql'), 'utf8'))
    return { sql, cancel: () => void cancelStatement(address, row!.pid) }
  } catch (error) {
    await sql.end({ timeout: 5 })
    throw error
  }
}

/** By another connection. Where that fails the statement goes on, and ends in a second or so. */
async function cancelStatement(address: ServerAddress, pid: number): Promise<void> {
  const other = connectAsService(address, 'verify')
  try {
    await other`select pg_cancel_backend(${pid})`
  } catch {
    // As above.
  } finally {
    await other.end({ timeout: 1 })
  }
}
