import type { Logger } from 'pino'
import { shareArchive } from '../../log/archived.ts'
import { Poll } from '../../platform/async/poll.ts'
import type { Intervals } from '../../platform/intervals.ts'
import {
  isConnectionLost,
  isDatabaseError,
  TemporarilyUnavailable,
} from '../../platform/postgres/errors.ts'
import {
  inSnapshot,
  openReplicaPools,
  type ReplicaPools,
  type ServerAddress,
  type Sql,
  type Transaction,
} from '../../platform/postgres/pool.ts'
import { sharesSessions } from '../../platform/postgres/pooler.ts'
import { PROJECTIONS } from '../../read-model/projections/index.ts'
import {
  type Lag,
  measureLag,
  type PollResult,
  type Primary,
  pollServer,
  readPrimaryHeads,
  refused,
} from './poll-server.ts'
import { meets, type ReadRequirement, readProgress } from './progress.ts'
import { ProgressWatch } from './progress-watch.ts'

/**
 * A replica that was behind is used again after this many consecutive polls that found it caught
 * up.
 */
const CAUGHT_UP_POLLS = 3

/**
 * `used`: in rotation. `behind`: only for reads without a requirement. `away`: it doesn't answer.
 * `refused`: it answers, but is not a replica of this database.
 */
export const STATES = ['used', 'behind', 'away', 'refused'] as const
/** One of STATES. */
export type ReplicaState = (typeof STATES)[number]

/** The outcome of a read: a value, or why it must go to the primary. */
export type Outcome<Value> =
  | { kind: 'read'; value: Value }
  | { kind: 'not'; why: 'behind' | 'away' | 'failed' }

export type ReplicaOptions = {
  /** Index in DATABASE_READ_URL, from 0. */
  number: number
  address: ServerAddress
  primary: Primary
  intervals: Intervals['replicas']
  logger: Logger
}

/** The snapshot does not meet the requirement of the read. */
class Behind extends Error {}

/**
 * Locks the tables that are partitioned by generation, so that the replay of a drop waits (see
 * `readIn`).
 */
const LOCK_GENERATIONS = `lock table ${PROJECTIONS.flatMap(({ tables }) => tables)
  .filter(({ fillfactor }) => fillfactor !== null)
  .map(({ name }) => `only ${name}`)
  .join(', ')} in access share mode`

/** One replica: its connections, its progress, and whether it is read from. */
export class Replica {
  state: ReplicaState = 'away'
  /** Why it is unavailable or refused. */
  why: string | null = null
  since = new Date().toISOString()
  /** As of the last poll. */
  lag: Lag = { events: 0, seconds: 0 }
  #pools: ReplicaPools
  readonly #watch: ProgressWatch
  /** Rejects each read in progress. */
  readonly #running = new Set<(error: TemporarilyUnavailable) => void>()
  #caughtUpSince = 0
  /** True if a pooler shares its sessions; null while unknown. */
  #isShared: boolean | null = null
  readonly #poll: Poll

  constructor(private readonly options: ReplicaOptions) {
    this.#pools = openPools(options)
    this.#watch = new ProgressWatch(
      () => readProgress(this.#pools.poll),
      () => void this.poll(),
    )
    this.#poll = new Poll(() => this.#pollOnce(), options.intervals.pollIntervalMs)
  }

  get number(): number {
    return this.options.number
  }

  /** Polls the replica at once, and then at intervals. Never rejects. */
  poll(): Promise<void> {
    return this.#poll.now()
  }

  async stop(): Promise<void> {
    await this.#poll.stop()
    await closePools(this.#pools, 5)
  }

  /** Reads in a snapshot that meets the requirement; null accepts any. */
  async read<Value>(
    requirement: ReadRequirement | null,
    run: (transaction: Transaction) => Promise<Value>,
  ): Promise<Outcome<Value>> {
    const { behindAfterMs } = this.options.intervals
    if (requirement !== null && !(await this.#watch.reach(requirement, behindAfterMs))) {
      this.#caughtUpSince = 0
      if (this.state === 'used') this.#setState('behind')
      return { kind: 'not', why: 'behind' }
    }
    return this.#try((sql) =>
      inSnapshot(sql, (transaction) => readIn(transaction, requirement, run)),
    )
  }

  /** Reads something immutable, without a snapshot. */
  readFixed<Value>(run: (sql: Sql) => Promise<Value>): Promise<Outcome<Value>> {
    return this.#try(run)
  }

  async #try<Value>(run: (sql: Sql) => Promise<Value>): Promise<Outcome<Value>> {
    try {
      return { kind: 'read', value: await this.#untilUnavailable(run(this.#pools.read)) }
    } catch (error) {
      // The snapshot is on another connection than the watch's: several servers share one name.
      if (error instanceof Behind) return { kind: 'not', why: 'behind' }
      if (!isDatabaseError(error)) throw error
      if (!isConnectionLost(error)) return { kind: 'not', why: 'failed' }
      // Something indicates that the replica is unavailable.
      void this.poll()
      return { kind: 'not', why: 'away' }
    }
  }

  /** Settles like `work`, but rejects as soon as the replica is known to be unavailable. */
  #untilUnavailable<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.#running.add(reject)
      work.then(resolve, reject).finally(() => this.#running.delete(reject))
    })
  }

  async #pollOnce(): Promise<void> {
    const { primary, intervals, logger } = this.options
    try {
      const heads = await readPrimaryHeads(primary, intervals)
      this.#evaluate(await this.#findState(heads))
      if (heads === null) return
      this.lag = (await measureLag(primary, heads, this.#watch.progress)) ?? this.lag
    } catch (error) {
      logger.error({ err: error, replica: this.number }, 'replica: poll failed')
    }
  }

  async #findState(heads: readonly number[] | null): Promise<PollResult | null> {
    const { primary, intervals } = this.options
    const ms = this.state === 'behind' ? intervals.caughtUpWithinMs : intervals.behindAfterMs
    try {
      // Check before setting up the first session, which a pooler may give to others as well.
      this.#isShared ??= await sharesSessions(this.options.address)
      if (this.#isShared) return refused('shared sessions')
      const replica = { sql: this.#pools.poll, watch: this.#watch }
      return await pollServer(primary, heads, replica, intervals, ms)
    } catch (error) {
      if (!isDatabaseError(error)) throw error
      this.#renewPools()
      return { state: 'away', why: (error as Error).message }
    }
  }

  #evaluate(result: PollResult | null): void {
    if (result === null) return
    this.#caughtUpSince = result === 'kept up' ? this.#caughtUpSince + 1 : 0
    if (result === 'late') this.#setState('behind')
    else if (result !== 'kept up') this.#setState(result.state, result.why)
    else if (this.state !== 'behind' || this.#caughtUpSince >= CAUGHT_UP_POLLS)
      this.#setState('used')
  }

  #setState(state: ReplicaState, why: string | null = null): void {
    if (state === this.state && why === this.why) return
    const { logger } = this.options
    this.state = state
    this.why = why
    this.since = new Date().toISOString()
    const context = { replica: this.number, state, ...(why === null ? {} : { why }) }
    if (state === 'used') logger.info(context, 'replica: reads go to it')
    else logger.warn(context, 'replica: reads go to the primary')
  }

  /** Replaces connections that may never answer. */
  #renewPools(): void {
    const old = this.#pools
    this.#isShared = null
    this.#pools = openPools(this.options)
    const unavailable = new TemporarilyUnavailable('the replica is unavailable')
    for (const end of [...this.#running]) end(unavailable)
    this.#watch.cancelAll()
    void closePools(old, 0).catch(() => {})
  }
}

function openPools({ address, primary }: ReplicaOptions): ReplicaPools {
  const pools = openReplicaPools(address)
  shareArchive(primary.sql, pools.read)
  return pools
}

/**
 * Reads in a snapshot that is checked against the requirement; all statements are sent at once. The
 * lock comes first: it keeps any generation that the snapshot sees as live from being dropped, as
 * the replay of a drop waits for this transaction, or cancels it. Otherwise a replica that catches
 * up could drop one between the snapshot and the read, which would find no rows.
 */
async function readIn<Value>(
  transaction: Transaction,
  requirement: ReadRequirement | null,
  run: (transaction: Transaction) => Promise<Value>,
): Promise<Value> {
  const locked = transaction.unsafe(LOCK_GENERATIONS).execute()
  const [, , value] = await Promise.all([locked, check(transaction, requirement), run(transaction)])
  return value
}

async function check(transaction: Transaction, requirement: ReadRequirement | null): Promise<void> {
  if (requirement !== null && !meets(await readProgress(transaction), requirement))
    throw new Behind()
}

async function closePools({ read, poll }: ReplicaPools, timeout: number): Promise<void> {
  await Promise.all([read.end({ timeout }), poll.end({ timeout })])
}
