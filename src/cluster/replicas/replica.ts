import type { Logger } from 'pino'
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

/** A replica that was behind is used again when so many looks in a row found it no later. */
const CAUGHT_UP_POLLS = 3

/**
 * `used`; `behind`: only by reads that need nothing of it; `away`: it doesn't answer; `refused`: it
 * answers, and is no replica of this database.
 */
export const STATES = ['used', 'behind', 'away', 'refused'] as const
export type ReplicaState = (typeof STATES)[number]

/** What a read has become: a value, or why it has to go to the primary. */
export type Outcome<Value> =
  | { kind: 'read'; value: Value }
  | { kind: 'not'; why: 'behind' | 'away' | 'failed' }

export type ReplicaOptions = {
  /** Of those in DATABASE_READ_URL, from 0. */
  number: number
  address: ServerAddress
  primary: Primary
  intervals: Intervals['replicas']
  logger: Logger
}

/** The snapshot of a read lacks what the read needs. */
class Behind extends Error {}

/** Drops of old generations wait for who has locked their tables. */
const LOCK_GENERATIONS = `lock table ${PROJECTIONS.flatMap(({ tables }) => tables)
  .filter(({ fillfactor }) => fillfactor !== null)
  .map(({ name }) => `only ${name}`)
  .join(', ')} in access share mode`

/** One replica: its connections, how far it is, and whether it is read from. */
export class Replica {
  state: ReplicaState = 'away'
  /** Why it is away or refused. */
  why: string | null = null
  since = new Date().toISOString()
  /** As of the last look. */
  lag: Lag = { events: 0, seconds: 0 }
  #pools: ReplicaPools
  readonly #watch: ProgressWatch
  /** Of each read under way, what ends it. */
  readonly #running = new Set<(error: TemporarilyUnavailable) => void>()
  #caughtUpSince = 0
  /** Whether a pooler shares its sessions; null: not known. */
  #isShared: boolean | null = null
  #polling: Promise<void> | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #isStopped = false

  constructor(private readonly options: ReplicaOptions) {
    this.#pools = openReplicaPools(options.address)
    this.#watch = new ProgressWatch(
      () => readProgress(this.#pools.poll),
      () => this.#pollNow(),
    )
  }

  get number(): number {
    return this.options.number
  }

  /** Looks at it, and from now on at intervals. Never rejects. */
  poll(): Promise<void> {
    const { pollIntervalMs } = this.options.intervals
    clearTimeout(this.#timer)
    this.#polling ??= this.#pollOnce().finally(() => {
      this.#polling = null
      if (!this.#isStopped) this.#timer = setTimeout(() => void this.poll(), pollIntervalMs)
    })
    return this.#polling
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#polling
    await closePools(this.#pools, 5)
  }

  /** Reads in a snapshot that has what is needed; null: in any. */
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

  /** Reads what never changes once it is there. */
  readFixed<Value>(run: (sql: Sql) => Promise<Value>): Promise<Outcome<Value>> {
    return this.#try(run)
  }

  async #try<Value>(run: (sql: Sql) => Promise<Value>): Promise<Outcome<Value>> {
    try {
      return { kind: 'read', value: await this.#untilUnavailable(run(this.#pools.read)) }
    } catch (error) {
      // It waited for another connection than the one it got: several servers have one name.
      if (error instanceof Behind) return { kind: 'not', why: 'behind' }
      if (!isDatabaseError(error)) throw error
      if (!isConnectionLost(error)) return { kind: 'not', why: 'failed' }
      this.#pollNow()
      return { kind: 'not', why: 'away' }
    }
  }

  /** As `work`; rejects as soon as it is known to be away, whatever becomes of the work. */
  #untilUnavailable<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.#running.add(reject)
      work.then(resolve, reject).finally(() => this.#running.delete(reject))
    })
  }

  /** Looks at once: something says that it is away. */
  #pollNow(): void {
    if (!this.#isStopped) void this.poll()
  }

  async #pollOnce(): Promise<void> {
    const { primary, intervals, logger } = this.options
    try {
      const heads = await readPrimaryHeads(primary, intervals)
      this.#evaluate(await this.#findState(heads))
      if (heads === null) return
      this.lag = (await measureLag(primary, heads, this.#watch.progress)) ?? this.lag
    } catch (error) {
      logger.error({ err: error, replica: this.number }, 'replica: look failed')
    }
  }

  async #findState(heads: readonly number[] | null): Promise<PollResult | null> {
    const { primary, intervals } = this.options
    const ms = this.state === 'behind' ? intervals.caughtUpWithinMs : intervals.behindAfterMs
    try {
      // Before its first session is set up: it may be one that others get as well.
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

  /** Lets go of connections that may never answer. */
  #renewPools(): void {
    const old = this.#pools
    this.#isShared = null
    this.#pools = openReplicaPools(this.options.address)
    const away = new TemporarilyUnavailable('the replica is away')
    for (const end of [...this.#running]) end(away)
    this.#watch.cancelAll()
    void closePools(old, 0).catch(() => {})
  }
}

/**
 * Reads in a snapshot, after a look whether it has what is needed; all is sent at once. With the
 * lock first, no generation is dropped that the snapshot sees as the live one: the drop is replayed
 * only after this, or ends this. Else a replica that catches up could drop one between the snapshot
 * and the read, which would find nothing.
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
