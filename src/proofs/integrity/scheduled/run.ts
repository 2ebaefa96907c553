import type { Logger } from 'pino'
import { type Job, startJob } from '../../../platform/background-command.ts'
import { connectAsService, type ServerAddress, type Sql } from '../../../platform/postgres/pool.ts'
import type { Report } from '../verify.ts'
import { finishVerification, insertVerification, VERIFICATION_LOCK } from './stored.ts'

/**
 * The verification that was started; `busy` if one already runs, on any instance, or this one is
 * stopping; `done before` if the one that was due has already been started.
 */
export type Started = { id: number; started_at: string } | 'busy' | 'done before'

/**
 * Runs verifications, each as a process of its own, one at a time over all instances. The instance
 * that runs one holds an advisory lock on a connection of its own. A service that is killed loses
 * the lock and leaves a row without an end, which is shown as killed.
 */
export class Verifications {
  #job: Job | null = null
  #running: Promise<void> | null = null
  #isStopped = false

  constructor(
    private readonly address: ServerAddress,
    private readonly sql: Sql,
    private readonly logger: Logger,
  ) {}

  /**
   * Starts a verification. `dueAt` (RFC 3339) identifies a nightly one, which runs only once, and
   * reads a sample of a large archive.
   */
  async start(dueAt: string | null = null): Promise<Started> {
    if (this.#isStopped) return 'busy'
    const lock = await takeLock(this.address)
    if (lock === null) return 'busy'
    let started: Awaited<ReturnType<typeof insertVerification>>
    try {
      started = await insertVerification(this.sql, dueAt)
    } catch (error) {
      await lock.release()
      throw error
    }
    if (started === null) {
      await lock.release()
      return 'done before'
    }
    this.#running = this.#run(started.id, dueAt !== null).finally(() => lock.release())
    return started
  }

  /** Resolves when this instance runs no verification. */
  async idle(): Promise<void> {
    await this.#running
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#job?.stop()
    await this.#running
  }

  async #run(id: number, isNightly: boolean): Promise<void> {
    const { address, logger, sql } = this
    try {
      const args = ['verify', '--json', ...(isNightly ? ['--sample'] : [])]
      this.#job = startJob(args, { address, logger })
      const { exitCode, output } = await this.#job.ended
      // A verification that was stopped has no result: its row is left without an end.
      if (this.#isStopped) return
      const report = exitCode === 0 || exitCode === 1 ? (JSON.parse(output) as Report) : null
      await finishVerification(sql, id, report)
      if (report === null) logger.error({ id, exitCode }, 'verification: could not check')
      else if (report.problems > 0) {
        logger.error({ id, problems: report.problems, first: report.first[0] }, 'verification')
      }
    } catch (error) {
      logger.error({ id, err: error }, 'verification failed')
    } finally {
      this.#job = null
    }
  }
}

/** Takes the lock, which is held as long as its connection lives; null if another has it. */
async function takeLock(address: ServerAddress): Promise<{ release(): Promise<void> } | null> {
  const connection = connectAsService(address, 'verify')
  const [row] = await connection<{ locked: boolean }[]>`
    select pg_try_advisory_lock(${VERIFICATION_LOCK}::bigint) as locked`.catch(async (error) => {
    await connection.end({ timeout: 1 })
    throw error
  })
  const release = () => connection.end({ timeout: 1 })
  if (row!.locked) return { release }
  await release()
  return null
}
