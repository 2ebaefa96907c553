import { type Job, type JobOptions, startJob } from '../../platform/background-command.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { PROJECTIONS } from '../projections/index.ts'
import { readProjectionStatus } from '../projector/status.ts'

/** The rebuilds that this service has started, each in its own process. */
export class RebuildJobs {
  readonly #jobs = new Map<string, Job>()

  constructor(
    private readonly sql: Sql,
    private readonly options: JobOptions,
  ) {}

  /** Starts a rebuild of a projection. Returns false if this service is already rebuilding it. */
  start(projection: string, options: readonly string[] = []): boolean {
    if (this.#jobs.has(projection)) return false
    const job = startJob(['rebuild', ...options, '--projection', projection], this.options)
    this.#jobs.set(projection, job)
    job.ended.then(({ exitCode, output }) => {
      this.#jobs.delete(projection)
      this.options.logger.info({ projection, exitCode, output }, 'rebuild ended')
    })
    return true
  }

  /**
   * Starts rebuilds of projections that an older release built; readers see the old generation
   * until then. If another instance starts at the same time, its rebuild finds them in progress, or
   * done.
   */
  async startChanged(): Promise<void> {
    const status = await readProjectionStatus(this.sql)
    for (const { name, version } of PROJECTIONS) {
      const live = status.find((projection) => projection.name === name)
      if (live && live.version < version) this.start(name, ['--changed'])
    }
  }

  /** Stops all rebuilds; generations that are not live yet are dropped. */
  async stop(): Promise<void> {
    await Promise.all([...this.#jobs.values()].map((job) => job.stop()))
  }
}
