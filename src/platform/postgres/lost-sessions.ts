import { askSeparately } from './ask-separately.ts'
import type { Sql } from './pool.ts'

/** Milliseconds between two tries to reach the server, and for one of them. */
const RETRY_MS = 1_000
const TRY_MS = 5_000

/**
 * Sessions of connections that were given up. The server may not know that nobody is there any
 * more, and keep what their transactions have locked: it ends those that are idle by itself, but
 * not one that was asked what a statement returns and waits for what follows. They are ended as
 * soon as the server can be reached.
 */
export class LostSessions {
  readonly #pids = new Set<number>()
  #isClosed = false
  #running: Promise<void> | null = null

  constructor(
    /** Opens a connection for one question. */
    private readonly connect: () => Sql,
    /** For so long nothing was heard of them. */
    private readonly silentAfterMs: number,
  ) {}

  add(pid: number): void {
    this.#pids.add(pid)
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
  }

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
   * False where the server can't be reached. Ends what waits for its client amid a transaction, and
   * has waited for long: nothing else, whoever has one of these numbers by now.
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
