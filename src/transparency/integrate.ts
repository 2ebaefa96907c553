import type { Logger } from 'pino'
import { isUnavailable } from '../db/errors.ts'
import type { Sql } from '../db/pool.ts'

/** Events of one statement: some 10 ms of the database's time. */
const STEP_EVENTS = 2_000

/** Milliseconds between two looks at a log that doesn't grow, and at one that is far ahead. */
const REST_MS = { idle: 1_000, behind: 20 }

/** Adds leaf hashes to a shard's tiles, in one bounded step; gives how many. */
export async function integrateEvents(
  sql: Sql,
  shard: number,
  limit: number = STEP_EVENTS,
): Promise<number> {
  const [row] = await sql<{ added: number }[]>`
    select integrate_events(${shard}, ${limit}::integer) as added`
  return row!.added
}

/**
 * Keeps the tiles of all shards up with the log, a second behind it. Of several instances each does
 * this, and what one has added the others find done. What a killed one left, the next look adds;
 * so it also takes in what was appended before there were tiles.
 */
export class Integrator {
  #stopped = false
  #running: Promise<void> | null = null
  #wake: () => void = () => {}
  /** Shards whose last step failed: a log with a gap fails until somebody mends it. */
  readonly #failing = new Set<number>()

  constructor(
    private readonly sql: Sql,
    private readonly shards: number,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) await this.#restFor(REST_MS[await this.#integrateAll()])
  }

  /** One step of each shard; says whether there may be more to do at once. */
  async #integrateAll(): Promise<keyof typeof REST_MS> {
    let most = 0
    for (let shard = 0; shard < this.shards && !this.#stopped; shard++) {
      most = Math.max(most, await this.#integrate(shard))
    }
    return most === STEP_EVENTS ? 'behind' : 'idle'
  }

  /** How many leaves were added; 0 where it failed, which is said once in a row. */
  async #integrate(shard: number): Promise<number> {
    try {
      const added = await integrateEvents(this.sql, shard)
      this.#failing.delete(shard)
      return added
    } catch (error) {
      if (!this.#failing.has(shard) && !isUnavailable(error)) {
        this.logger.error({ shard, err: error }, 'transparency: integration failed')
      }
      this.#failing.add(shard)
      return 0
    }
  }

  async #restFor(ms: number): Promise<void> {
    if (this.#stopped) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
