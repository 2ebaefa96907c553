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

/** Reads of the log at once, and milliseconds that another waits. */
const LOG_READS = 4
const LOG_WAIT_MS = 5_000

/** Where a read went: to a replica; or to the primary, and why. */
export type Served = 'replica' | ReplicaState | 'failed' | 'missing'

export type ReadsOptions = {
  /** The primary's pool of reads. */
  sql: Sql
  replicas: readonly ServerAddress[]
  /** INTERVALS by default. */
  intervals?: Intervals['replicas']
  logger: Logger
}

/**
 * Decides where reads go: to a replica that has what they need, else to the primary. What has to be
 * as of now whatever a replica is, such as sessions, tokens and the heads of the log, is not asked
 * for here.
 */
export class Reads {
  /** Told of each read, where there are replicas. */
  onServed: (served: Served) => void = () => {}
  #next = 0
  readonly #logReads = new Semaphore(LOG_READS)

  private constructor(
    private readonly options: ReadsOptions,
    readonly replicas: readonly Replica[],
  ) {}

  /**
   * Looks at each replica once. Throws UserError where one is of another database, or where the
   * tables are spread over several servers.
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
   * Reads what reflects at least what is needed; null: whatever is there. A function is asked for
   * the need where a replica may be read. `read` gets a snapshot of a replica, or the primary's
   * pool; it is called again where it came to nothing.
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
   * As `read`, of what looks into the log: half of the connections at once, so that who reads
   * totals never waits for who walks through their history.
   */
  readLog<Value>(
    requirement: ReadRequirement | null | (() => Promise<ReadRequirement>),
    read: (sql: Sql | Transaction) => Promise<Value>,
  ): Promise<Value> {
    return this.#logReads
      .run(() => this.read(requirement, read), LOG_WAIT_MS)
      .catch((error: unknown) => {
        if (!(error instanceof SemaphoreTimeout)) throw error
        throw new TemporarilyUnavailable('busy', 2, 'Too many reads of the log are under way.')
      })
  }

  /** Reads what never changes once it is there; `read` gives null where it isn't. */
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

  /** A replica in its turn; where nothing is needed, one that is behind if no other is there. */
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
  'this database are spread over several. Unset it, and start again.'

// The URL isn't shown: it may hold a password.
function describeMismatch({ number, why }: Replica): string {
  const which = `Server ${number + 1} of DATABASE_READ_URL`
  if (why === 'shared sessions') return `${which} is ${SHARES_SESSIONS}`
  return why === 'other log'
    ? `${which} has events that the log of DATABASE_URL doesn't have: it went its own way, ` +
        'and has to be made anew as a replica of that server.'
    : `${which} isn't a replica of the database of DATABASE_URL: it is another database, ` +
        'or one of another server.'
}
