import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'

/** Milliseconds between two polls. */
const POLL_INTERVAL_MS = 60_000

/** Milliseconds until the warning is logged again. */
const REPEAT_MS = 3_600_000

/** Seconds by which clocks may differ. */
const TOLERANCE_S = 60

/**
 * Polls how far the newest event of the log is ahead of the database's clock, because the clock was
 * set back since, or was wrong before. Until the clock reaches that time, every event is recorded
 * at that time, and reads as of now leave it out.
 */
export class LogAhead {
  #seconds: number | null = null
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly options: { sql: Sql; logger: Logger }) {}

  /** Seconds ahead; 0 for up to a minute, null while it isn't known. */
  get seconds(): number | null {
    return this.#seconds
  }

  /** Polls now, and then every minute. */
  start(): Poll {
    return new Poll(() => this.#poll(), POLL_INTERVAL_MS).start(0)
  }

  async #poll(): Promise<void> {
    const { sql, logger } = this.options
    try {
      const seconds = await readSecondsAhead(sql)
      this.#seconds = seconds <= TOLERANCE_S ? 0 : seconds
    } catch (error) {
      this.#seconds = null
      if (!isUnavailable(error)) logger.error({ err: error }, 'log: failed to read its newest time')
      return
    }
    const now = performance.now()
    if (this.#seconds === 0 || now - this.#warnedAt < REPEAT_MS) return
    this.#warnedAt = now
    const ahead = { seconds: Math.round(this.#seconds) }
    logger.warn(ahead, "log: the newest event is in the future: check the database server's clock")
  }
}

/** Returns how far the newest event is ahead of the database's clock (s); negative if it isn't. */
async function readSecondsAhead(sql: Sql): Promise<number> {
  const [row] = await sql<{ seconds: number | null }[]>`
    select extract(epoch from max(n.recorded_at) - clock_timestamp())::float8 as seconds
    from (
      select (
        select e.recorded_at from events e where e.shard = s.shard order by e.position desc limit 1
      ) as recorded_at
      from shards s
    ) n`
  return row!.seconds ?? 0
}
