import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import { type Job, startJob } from '../platform/background-command.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { ServerAddress, Sql } from '../platform/postgres/pool.ts'
import { readMarked, readOld, readWritable } from './archive.ts'
import type { ArchiveOptions } from './open.ts'

/** The longest time (ms) between two attempts while the archive fails. */
const MAX_BACKOFF_MS = 1_800_000

export type ArchiverOptions = {
  address: ServerAddress
  sql: Sql
  archive: ArchiveOptions
  /** True if this instance looks after shard 0: of several, one archives. */
  owns: (shard: number) => boolean
  logger: Logger
  pollIntervalMs: number
}

/**
 * Moves segments to the archive as they become full and old, as `tallybook segments archive` does
 * and in such a process: writing and verifying a gigabyte would make requests wait. While it fails,
 * it is attempted less and less often, twice an hour at least.
 */
export class Archiver {
  /** When it began to fail (RFC 3339), and why; null if the last attempt succeeded. */
  failing: { since: string; reason: string } | null = null
  #failures = 0
  #job: Job | null = null
  readonly #poll: Poll

  constructor(private readonly options: ArchiverOptions) {
    this.#poll = new Poll(() => this.#archive(), options.pollIntervalMs)
  }

  /** Starts archiving, if there is an archive. */
  start(): this {
    if (this.options.archive.url !== null) this.#poll.start(0)
    return this
  }

  async stop(): Promise<void> {
    const stopped = this.#poll.stop()
    await this.#job?.stop()
    await stopped
  }

  /** Returns the delay until the next attempt. */
  async #archive(): Promise<number> {
    const { owns, sql, pollIntervalMs, logger } = this.options
    try {
      if (owns(0) && (await this.#hasWork(sql))) await this.#run()
      // Another instance does it, or has done it.
      else this.#succeed()
    } catch (error) {
      // The database is reported by others.
      if (!isUnavailable(error)) logger.error({ err: error }, 'archive: failed')
    }
    return Math.min(pollIntervalMs * 2 ** this.#failures, MAX_BACKOFF_MS)
  }

  #succeed(): void {
    this.failing = null
    this.#failures = 0
  }

  async #hasWork(sql: Sql): Promise<boolean> {
    const { keepDays } = this.options.archive
    if ((await readWritable(sql)).length > 0 || (await readMarked(sql)).length > 0) return true
    return keepDays !== null && (await readOld(sql, keepDays)).length > 0
  }

  async #run(): Promise<void> {
    const { address, logger, archive } = this.options
    const env = {
      TALLYBOOK_ARCHIVE_URL: archive.url!,
      TALLYBOOK_KEEP_DAYS: archive.keepDays === null ? '' : String(archive.keepDays),
    }
    this.#job = startJob(['segments', 'archive', '--json'], { address, logger, env })
    const { exitCode, output } = await this.#job.ended
    this.#job = null
    if (this.#poll.isStopped) return
    if (exitCode === 0) {
      if (this.failing !== null) logger.info('archive: segments are moved again')
      return this.#succeed()
    }
    if (exitCode === BUSY) return
    this.#failures = Math.min(this.#failures + 1, 10)
    const reason = readProblem(output) ?? `the process ended with ${exitCode}`
    // Each line of the process is in the log anyway.
    if (this.failing === null) logger.error({ reason }, 'archive: segments stay in the database')
    this.failing = { since: this.failing?.since ?? new Date().toISOString(), reason }
  }
}

/** The exit code of `tallybook segments archive` if another process does it. */
export const BUSY = 3

function readProblem(output: string): string | null {
  try {
    return (JSON.parse(output) as { problems: string[] }).problems[0] ?? null
  } catch {
    return null
  }
}
