import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Intervals } from '../platform/intervals.ts'
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

/** Milliseconds that a stopping instance takes to say so. */
const LEAVE_MS = 1_000

export type InstancesOptions = {
  address: ServerAddress
  shards: number
  version: string
  intervals: Intervals['instances']
  logger: Logger
  /** The shards that this instance tends may be others now. */
  onOwnershipChange: () => void
  /** A reader on another instance waits for something that this one tends. */
  onCatchUpRequest: (request: CatchUpRequest) => void
}

/**
 * This instance among those that run on the database: they share the shards, each tended by one.
 *
 * It is a hint. Two may tend a shard for a second or two, when one was frozen or the network was
 * cut, and none may, when one was killed: whatever tending does (moving a checkpoint, adding
 * leaves, signing a tree) is right however many do it.
 *
 * The connection is its own: a sign of life doesn't queue behind passes and reads.
 */
export class Instances {
  readonly id = randomUUID()
  readonly startedAt = new Date().toISOString()
  readonly #sql: Sql
  #self: Self | null = null
  #rows: readonly InstanceRow[] = []
  /** By shard, who tends it. */
  #owners: readonly string[] = []
  #isLeaving = false
  #isUnavailable = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #heartbeatDone: Promise<void> = Promise.resolve()

  constructor(private readonly options: InstancesOptions) {
    this.#sql = connectAsService(
      options.address,
      'instance',
      // A sign of life that is lost with the server's power isn't missed.
      { synchronous_commit: 'off', statement_timeout: '5s' },
      (channel, payload) => this.#receive(channel, payload),
    )
  }

  /** How many run, as far as this one knows. */
  get count(): number {
    return this.#live.length
  }

  /** True where this instance is to do what one has to do for a shard. */
  owns(shard: number): boolean {
    return (this.#owners[shard] ?? this.id) === this.id
  }

  /** The shards that an instance of these rows tends. */
  shardsOf(id: string): number[] {
    return this.#owners.flatMap((owners, shard) => (owners === id ? [shard] : []))
  }

  /** All instances as a database has them; see `readInstances`. */
  readAll(sql: Sql): Promise<InstanceRow[]> {
    return readInstances(sql, this.options.intervals.silentAfterMs)
  }

  /** Tells whoever tends the shard that a reader waits here. */
  requestCatchUp(request: CatchUpRequest): void {
    this.#sql`select pg_notify(${CHANNEL}, ${formatCatchUpRequest(request)})`.catch(() => {
      // The reader helps itself in a second.
    })
  }

  /** Is one of them from now on. Rejects where the database is away. */
  async join(): Promise<void> {
    const { version } = this.options
    const migration = await newestMigration()
    this.#self = { id: this.id, version, migration, startedAt: this.startedAt }
    try {
      await this.#poll()
    } catch (error) {
      await this.leave()
      throw error
    }
    this.#schedule()
  }

  /**
   * Is none of them any more: the others take over within a second. Killed before: they do when
   * nothing was heard of it for `silentAfterMs`.
   */
  async leave(): Promise<void> {
    this.#isLeaving = true
    clearTimeout(this.#timer)
    const left = this.#heartbeatDone
      .then(() => (this.#self ? deleteInstance(this.#sql, this.id) : undefined))
      .catch(() => {})
    await Promise.race([left, Bun.sleep(LEAVE_MS)])
    this.#assign()
    await this.#sql.end({ timeout: 1 })
  }

  get #live(): readonly InstanceRow[] {
    return this.#rows.filter(({ live, id }) => live || id === this.id)
  }

  #schedule(): void {
    if (this.#isLeaving) return
    this.#timer = setTimeout(() => {
      this.#heartbeatDone = this.#heartbeat().finally(() => this.#schedule())
    }, this.options.intervals.heartbeatMs)
  }

  async #heartbeat(): Promise<void> {
    try {
      await this.#poll()
      this.#isUnavailable = false
    } catch (error) {
      // What was known of the others stays: while the database is away nobody can do anything.
      if (!isUnavailable(error)) this.options.logger.error({ err: error }, 'instances: no beat')
      else if (!this.#isUnavailable) this.options.logger.warn('instances: database away')
      this.#isUnavailable = true
    }
  }

  async #poll(): Promise<void> {
    // Each time: a new connection doesn't know of it, and to listen twice is to listen once.
    await this.#sql.unsafe(`listen ${CHANNEL}`)
    await writeHeartbeat(this.#sql, this.#self!)
    this.#rows = await this.readAll(this.#sql)
    this.#assign()
    await deleteKilled(this.#sql, this.#rows)
  }

  /** Only code that knows the newest migration tends: older code may meet what it can't read. */
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
