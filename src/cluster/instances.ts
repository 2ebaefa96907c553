import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { withinOr } from '../platform/async/deadline.ts'
import { Poll } from '../platform/async/poll.ts'
import type { Intervals } from '../platform/intervals.ts'
import { endBlockingSessions } from '../platform/postgres/blocking-sessions.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { newestMigration } from '../platform/postgres/newer.ts'
import { connectAsService, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'
import { assignShards } from './assign-shards.ts'
import {
  type CatchUpRequest,
  CHANNEL,
  formatCatchUpRequest,
  parseCatchUpRequest,
} from './catch-up-request.ts'
import {
  deleteInstance,
  deleteKilled,
  type InstanceRow,
  readInstances,
  type Self,
  writeHeartbeat,
} from './membership.ts'

/** How long (ms) a stopping instance tries to delete its row. */
const LEAVE_MS = 1_000

export type InstancesOptions = {
  address: ServerAddress
  shards: number
  version: string
  intervals: Intervals['instances']
  logger: Logger
  /** Called when the shards that this instance owns may have changed. */
  onOwnershipChange: () => void
  /** Called when a reader on another instance waits for a shard that this one owns. */
  onCatchUpRequest: (request: CatchUpRequest) => void
}

/**
 * This instance as a member of the cluster. The instances that use a database divide its shards
 * among themselves, and each shard has one owner.
 *
 * Ownership is a hint. For a second or two, a shard may have two owners after one was frozen or the
 * network was cut, or none after one was killed. Everything that owners do (moving a checkpoint,
 * adding leaves, signing a tree) stays correct if several instances do it.
 *
 * Heartbeats have a dedicated connection, so that they never queue behind projector writes and
 * reads.
 */
export class Instances {
  readonly id = randomUUID()
  readonly startedAt = new Date().toISOString()
  readonly #sql: Sql
  #self: Self | null = null
  #rows: readonly InstanceRow[] = []
  /** The owner's id, by shard. */
  #owners: readonly string[] = []
  #isLeaving = false
  #isUnavailable = false
  readonly #heartbeats: Poll

  constructor(private readonly options: InstancesOptions) {
    this.#sql = connectAsService(
      options.address,
      'instance',
      // A heartbeat lost in a crash of the server is not missed.
      { synchronous_commit: 'off', statement_timeout: '5s' },
      (channel, payload) => this.#receive(channel, payload),
    )
    this.#heartbeats = new Poll(() => this.#heartbeat(), options.intervals.heartbeatMs)
  }

  /** Number of live instances, as far as this one knows. */
  get count(): number {
    return this.#live.length
  }

  /** True if this instance owns the shard. */
  owns(shard: number): boolean {
    return (this.#owners[shard] ?? this.id) === this.id
  }

  /** Returns the shards that an instance owns. */
  shardsOf(id: string): number[] {
    return this.#owners.flatMap((owner, shard) => (owner === id ? [shard] : []))
  }

  /** Reads all instances from a database; see `readInstances`. */
  readAll(sql: Sql): Promise<InstanceRow[]> {
    return readInstances(sql, this.options.intervals.silentAfterMs)
  }

  /** Notifies the owner of the shard that a reader waits on this instance. */
  requestCatchUp(request: CatchUpRequest): void {
    this.#sql`select pg_notify(${CHANNEL}, ${formatCatchUpRequest(request)})`.catch(() => {
      // After a second the reader's own instance folds for it.
    })
  }

  /** Joins the cluster. Rejects if the database is unreachable. */
  async join(): Promise<void> {
    const { version } = this.options
    const migration = newestMigration()
    this.#self = { id: this.id, version, migration, startedAt: this.startedAt }
    try {
      await this.#poll()
    } catch (error) {
      await this.leave()
      throw error
    }
    this.#heartbeats.start()
  }

  /**
   * Leaves the cluster: the others take over within a second. If the instance is killed instead,
   * they take over after `silentAfterMs` without a heartbeat.
   */
  async leave(): Promise<void> {
    this.#isLeaving = true
    const left = this.#heartbeats
      .stop()
      .then(() => (this.#self ? deleteInstance(this.#sql, this.id) : undefined))
      .catch(() => {})
    await withinOr(LEAVE_MS, left, undefined)
    this.#assign()
    await this.#sql.end({ timeout: 1 })
  }

  get #live(): readonly InstanceRow[] {
    return this.#rows.filter(({ live, id }) => live || id === this.id)
  }

  async #heartbeat(): Promise<void> {
    try {
      await this.#poll()
      this.#isUnavailable = false
    } catch (error) {
      // Keep what is known of the others: while the database is unavailable no instance can do
      // anything.
      if (!isUnavailable(error))
        this.options.logger.error({ err: error }, 'instances: heartbeat failed')
      else if (!this.#isUnavailable) this.options.logger.warn('instances: database unavailable')
      this.#isUnavailable = true
    }
  }

  async #poll(): Promise<void> {
    // Repeated each time: a new connection does not listen yet, and listening twice has no effect.
    await this.#sql.unsafe(`listen ${CHANNEL}`)
    await writeHeartbeat(this.#sql, this.#self!)
    this.#rows = await this.readAll(this.#sql)
    this.#assign()
    await deleteKilled(this.#sql, this.#rows)
    await endBlockingSessions(this.#sql, this.options.address)
  }

  /**
   * Only instances that know the newest migration own shards: older code may meet events it can't
   * read.
   */
  #assign(): void {
    const others = this.#live.filter(({ id }) => id !== this.id)
    const all = this.#isLeaving && others.length > 0 ? others : this.#live
    const newest = Math.max(...all.map(({ migration }) => migration))
    const eligible = all.filter(({ migration }) => migration === newest).map(({ id }) => id)
    const owners = eligible.length === 0 ? [] : assignShards(this.options.shards, eligible)
    const isSame = owners.every((id, shard) => id === this.#owners[shard])
    this.#owners = owners
    if (!isSame) this.options.onOwnershipChange()
  }

  #receive(channel: string, payload: string): void {
    const request = channel === CHANNEL ? parseCatchUpRequest(payload) : null
    if (request !== null && this.owns(request.shard)) this.options.onCatchUpRequest(request)
  }
}
