import { askSeparately } from './ask-separately.ts'
import { openBare } from './pool.ts'
import type { ServerAddress, Sql } from './sql.ts'

/** How long (ms) a lock is waited for until it is asked who holds it. */
const WAIT_MS = 100

/** How long (ms) a session may wait for its client: as long as a transaction may be idle. */
const SILENCE_MS = 10_000

/** The timeout (ms) of the attempt to end sessions. */
const TRY_MS = 5_000

/**
 * Ends sessions of other instances that hold locks for which a session waits, and that have waited
 * for their client for long. The server ends idle transactions by itself, but not a session that
 * has described a statement and waits for the next message. Its own instance may be cut off, by a
 * network that holds back what is sent: then nobody else ends it, and its shards are not folded.
 */
export async function endBlockingSessions(
  sql: Sql,
  address: ServerAddress,
  silenceMs = SILENCE_MS,
): Promise<void> {
  const [row] = await sql<{ is_waiting: boolean }[]>`
    select exists(
      select
      from pg_locks l
      where not l.granted
        and l.waitstart < clock_timestamp() - ${WAIT_MS}::integer * interval '1 ms'
    ) as is_waiting`
  if (!row!.is_waiting) return
  // As the user who signed in: the role of the service may neither see nor end sessions.
  await askSeparately(
    openBare(address),
    TRY_MS,
    (bare) => bare`
      select pg_terminate_backend(b.pid)
      from pg_stat_activity b
      where b.usename = session_user and b.datname = current_database()
        and starts_with(b.application_name, current_setting('application_name'))
        and b.state = 'active' and b.wait_event = 'ClientRead' and b.xact_start is not null
        and b.state_change < clock_timestamp() - ${silenceMs}::integer * interval '1 ms'
        and b.pid in (
          select unnest(pg_blocking_pids(w.pid))
          from pg_stat_activity w
          where w.wait_event_type = 'Lock'
        )`,
  )
}
