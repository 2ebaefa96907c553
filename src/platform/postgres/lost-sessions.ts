import { askSeparately } from './ask-separately.ts'
import type { Sql } from './sql.ts'

/** The delay (ms) between two attempts to reach the server, and the timeout of one attempt. */
const RETRY_MS = 1_000
const TRY_MS = 5_000

/**
 * Terminates the server sessions of connections that were closed for silence, as soon as the server
 * is reachable. The server may not know that the client is gone, and hold the locks of its
 * transaction. It ends idle sessions by itself, but not a session that has described a statement
 * and waits for the next message.
 */
export class LostSessions {
  readonly #pids = new Set<number>()
  #isClosed = false
  #running: Promise<void> | null = null

  constructor(
    /** Opens a connection for one query. */
    private readonly connect: () => Sql,
    /** How long (ms) the connections had been silent. */
    private readonly silentAfterMs: number,
  ) {}

  /** Adds the server process of a closed connection. */
  add(pid: number): void {
    this.#pids.add(pid)
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
  }

  /** Stops trying to terminate sessions. */
  close(): void {
    this.#isClosed = true
  }

  async #run(): Promise<void> {
    while (this.#pids.size > 0 && !this.#isClosed) {
      const pids = [...this.#pids]
      if (await this.#end(pids)) for (const pid of pids) this.#pids.delete(pid)
      else await Bun.sleep(RETRY_MS)
    }
  }

  /**
   * Returns false if the server is unreachable. Terminates only sessions that have waited for their
   * client in the middle of a transaction for long, so a session that reuses a pid is safe.
   */
  async #end(pids: number[]): Promise<boolean> {
    const ended = await askSeparately(
      this.connect(),
      TRY_MS,
      (sql) => sql`
        select pg_terminate_backend(a.pid)
        from pg_stat_activity a
        where a.pid in ${sql(pids)} and a.usename = session_user and a.wait_event = 'ClientRead'
          and greatest(a.xact_start, a.state_change)
            < clock_timestamp() - ${this.silentAfterMs}::integer * interval '1 ms'
          and a.xact_start is not null`,
    )
    return ended !== null
  }
}
