import type { Logger } from 'pino'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'

/** Milliseconds between two looks. */
const POLL_INTERVAL_MS = 60_000

/** Milliseconds after which the log repeats what it has said. */
const REPEAT_MS = 3_600_000

/** Seconds up to which clocks are the same. */
const TOLERANCE_S = 60

/**
 * Looks now and then by how much the newest event of the log lies ahead of the database's clock:
 * that was set back since, or was wrong before. Until the clock has come there, everything is
 * recorded at that moment, and reads as of today leave it out.
 */
export class LogAhead {
  #seconds: number | null = null
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(private readonly options: { sql: Sql; logger: Logger }) {}

  /** Seconds, from a minute on: less is 0. null as long as it isn't known. */
  get seconds(): number | null {
    return this.#seconds
  }

  /** Looks at once, and then each minute. */
  start(): { stop(): void } {
    let timer: ReturnType<typeof setTimeout> | undefined
    let isStopped = false
    const run = async () => {
      await this.#poll()
      if (!isStopped) timer = setTimeout(run, POLL_INTERVAL_MS)
    }
    void run()
    return {
      stop: () => {
        isStopped = true
        clearTimeout(timer)
      },
    }
  }

  async #poll(): Promise<void> {
    const { sql, logger } = this.options
    try {
      const seconds = await readSecondsAhead(sql)
      this.#seconds = seconds <= TOLERANCE_S ? 0 : seconds
    } catch (error) {
      this.#seconds = null
      if (!isUnavailable(error)) logger.error({ err: error }, 'log: its newest time is not known')
      return
    }
    const now = performance.now()
    if (this.#seconds === 0 || now - this.#saidAt < REPEAT_MS) return
    this.#saidAt = now
    logger.warn({ seconds: Math.round(this.#seconds) }, 'log: the newest event lies in the future')
  }
}

/** Seconds from now, by the database's clock, to the newest event's time; below 0 in the past. */
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
