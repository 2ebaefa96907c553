import type { Logger } from 'pino'
import { Semaphore, SemaphoreTimeout } from '../../platform/async/semaphore.ts'
import { INTERVALS, type Intervals } from '../../platform/intervals.ts'
import { readPlacement } from '../../platform/postgres/citus/distribute.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { ServerAddress, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { SHARES_SESSIONS } from '../../platform/postgres/pooler.ts'
import { UserError } from '../../platform/user-error.ts'
import { readIdentity } from './identity.ts'
import type { ReadRequirement } from './progress.ts'
import { type Outcome, Replica, type ReplicaState } from './replica.ts'

/** Concurrent reads of the log, and how long (ms) another one waits. */
const LOG_READS = 4
const LOG_WAIT_MS = 5_000

/** How a read was served: by a replica, or by the primary, with the reason. */
export type Served = 'replica' | ReplicaState | 'failed' | 'missing'

export type ReadsOptions = {
  /** The primary's pool for reads. */
  sql: Sql
  replicas: readonly ServerAddress[]
  /** Defaults to INTERVALS. */
  intervals?: Intervals['replicas']
  logger: Logger
}

/**
 * Routes reads to a replica that meets their requirement, or else to the primary. Reads that must
 * be current, such as of sessions, tokens and the heads of the log, bypass this class.
 */
export class Reads {
  /** Called for each read, if there are replicas. */
  onServed: (served: Served) => void = () => {}
  #next = 0
  readonly #logReads = new Semaphore(LOG_READS)

  private constructor(
    private readonly options: ReadsOptions,
    readonly replicas: readonly Replica[],
  ) {}

  /**
   * Polls each replica once. Throws UserError if one belongs to another database, or if the tables
   * are distributed over several servers.
   */
  static async open(options: ReadsOptions): Promise<Reads> {
    const { sql, intervals = INTERVALS.replicas, logger } = options
    if (options.replicas.length === 0) return new Reads(options, [])
    if ((await readPlacement(sql)) === 'distributed') throw new UserError(DISTRIBUTED)
    const primary = { sql, identity: await readIdentity(sql) }
    const replicas = options.replicas.map(
      (address, number) => new Replica({ number, address, primary, intervals, logger }),
    )
    const reads = new Reads(options, replicas)
    await Promise.all(replicas.map((replica) => replica.poll()))
    const mismatch = replicas.find(
      ({ state, why }) => state === 'refused' && why !== 'not a replica',
    )
    if (!mismatch) return reads
    await reads.close()
    throw new UserError(describeMismatch(mismatch))
  }

  /**
   * Reads at a state that meets the requirement; null accepts any state. If the requirement is a
   * function, it is called only if a replica may be read. `read` gets a snapshot of a replica, or
   * the primary's pool; if the replica fails, it is called again with the latter.
   */
  async read<Value>(
    requirement: ReadRequirement | null | (() => Promise<ReadRequirement>),
    read: (sql: Sql | Transaction) => Promise<Value>,
  ): Promise<Value> {
    const replica = this.#choose(requirement !== null)
    if (replica !== null) {
      const required = typeof requirement === 'function' ? await requirement() : requirement
      const outcome = await replica.read(required, read)
      if (this.#note(outcome)) return outcome.value
    }
    return read(this.options.sql)
  }

  /**
   * Like `read`, for reads that use the log. At most LOG_READS of them run at once, half of the
   * connections, so that they never make reads of totals wait. Throws TemporarilyUnavailable if
   * none can start within LOG_WAIT_MS.
   */
  readLog<Value>(
    requirement: ReadRequirement | null | (() => Promise<ReadRequirement>),
    read: (sql: Sql | Transaction) => Promise<Value>,
  ): Promise<Value> {
    return this.#logReads
      .run(() => this.read(requirement, read), LOG_WAIT_MS)
      .catch((error: unknown) => {
        if (!(error instanceof SemaphoreTimeout)) throw error
        throw new TemporarilyUnavailable('busy', 2, 'Too many reads of the log are in progress.')
      })
  }

  /** Reads something immutable. `read` returns null if it is missing: then the primary is read. */
  async find<Value>(read: (sql: Sql) => Promise<Value | null>): Promise<Value | null> {
    const replica = this.#choose(false)
    if (replica !== null) {
      const outcome = await replica.readFixed(read)
      if (outcome.kind === 'read' && outcome.value === null) this.onServed('missing')
      else if (this.#note(outcome)) return outcome.value
    }
    return read(this.options.sql)
  }

  async close(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()))
  }

  /**
   * Chooses replicas in rotation. Without a requirement, one that is behind will do if no other is
   * available.
   */
  #choose(hasRequirement: boolean): Replica | null {
    const { replicas } = this
    if (replicas.length === 0) return null
    this.#next = (this.#next + 1) % replicas.length
    const rotated = [...replicas.slice(this.#next), ...replicas.slice(0, this.#next)]
    const inRotation = rotated.find(({ state }) => state === 'used')
    const chosen =
      inRotation ?? (hasRequirement ? undefined : rotated.find(({ state }) => state === 'behind'))
    if (!chosen) this.onServed(rotated[0]!.state)
    return chosen ?? null
  }

  #note<Value>(outcome: Outcome<Value>): outcome is { kind: 'read'; value: Value } {
    this.onServed(outcome.kind === 'read' ? 'replica' : outcome.why)
    return outcome.kind === 'read'
  }
}

const DISTRIBUTED =
  "DATABASE_READ_URL can't be used with Citus: a replica has the rows of one node, and those of " +
  'this database are distributed over several. Unset it, and start again.'

// The message omits the URL, which may contain a password.
function describeMismatch({ number, why }: Replica): string {
  const which = `Server ${number + 1} of DATABASE_READ_URL`
  if (why === 'shared sessions') return `${which} is ${SHARES_SESSIONS}`
  return why === 'other log'
    ? `${which} has events that the log of DATABASE_URL doesn't have: it has diverged. ` +
        'Recreate it as a replica of that server.'
    : `${which} isn't a replica of the database of DATABASE_URL: it is another database, ` +
        'or belongs to another server.'
}
