import type { Logger } from 'pino'
import type { Positions } from '../../events/positions.ts'
import type { AppendedBatch } from '../../log/appender-options.ts'
import { readHeads } from '../../log/read.ts'
import { SingleFlight } from '../../platform/async/single-flight.ts'
import { INTERVALS, type Intervals } from '../../platform/intervals.ts'
import { Outages } from '../../platform/postgres/outages.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import { toEntries } from './entry-batch.ts'
import { OWNS_ALL, type ShardOwnership } from './ownership.ts'
import {
  currentGroup,
  type ProjectionGroup,
  snapshotGroup,
  usageGroup,
  type WriteBatch,
} from './projection-groups.ts'
import { ShardProjector } from './shard-projector.ts'

/** The groups that readers can wait for. */
export type AwaitedGroup = 'current' | 'usage'

/**
 * Keeps the projections up to date with the log, per group and shard. Any number of projectors may
 * run on one database: they share the shards, and the lock on the checkpoint admits one writer at a
 * time.
 */
export class Projector {
  readonly #current: ShardProjector[]
  readonly #usage: ShardProjector[]
  readonly #snapshots: ShardProjector[]
  readonly #heads: SingleFlight<Positions>

  constructor(
    pools: Pools,
    shards: number,
    logger: Logger,
    ownership: ShardOwnership = OWNS_ALL,
    intervals: Intervals['projector'] = INTERVALS.projector,
    /** Reads a large event in parts, off this thread; null decodes it here, in one go. */
    readLarge: ReadLarge | null = null,
    /** Writes a batch; default `FoldBatch.write`. */
    writeBatch: WriteBatch = (sql, batch) => batch.write(sql),
  ) {
    const outages = new Outages(logger, {
      level: 'warn',
      begun: 'projector: database unavailable',
      ended: 'projector: database available again',
    })
    const each = (groupOf: (shard: number) => ProjectionGroup) =>
      Array.from(
        { length: shards },
        (_, shard) =>
          new ShardProjector(
            pools,
            shard,
            groupOf(shard),
            ownership,
            intervals,
            logger,
            outages,
            readLarge,
            writeBatch,
          ),
      )
    this.#heads = new SingleFlight(() => readHeads(pools.control))
    this.#current = each(() => currentGroup(intervals))
    this.#usage = each(usageGroup)
    this.#snapshots = each(snapshotGroup)
  }

  start(): void {
    for (const projector of this.#all) projector.start()
  }

  /**
   * Notifies that this process has appended to a shard; `appended` has the events, if available.
   */
  noticeAppend(shard: number, appended?: AppendedBatch): void {
    const batch = appended && toEntries(appended)
    this.#current[shard]?.noticeAppend(batch)
    this.#usage[shard]?.noticeAppend(batch)
    this.#snapshots[shard]?.noticeAppend(batch)
  }

  /** Reads the current heads of the log. Concurrent calls share one read. */
  readHeads(): Promise<Positions> {
    return this.#heads.read()
  }

  /** Notifies that a reader on another instance waits for a position of a group. */
  noticeRequest({ shard, group, position }: { shard: number; group: string; position: number }) {
    if (group === 'current') this.#current[shard]?.noticeRequest(position)
    if (group === 'usage') this.#usage[shard]?.noticeRequest(position)
  }

  /** Notifies that ownership of the shards may have changed. */
  noticeOwnershipChange(): void {
    for (const projector of this.#all) projector.noticeOwnershipChange()
  }

  /** Notifies that an as-of read failed because snapshots are behind. */
  hurrySnapshots(): void {
    for (const projector of this.#snapshots) projector.hurry()
  }

  /** Waits until a group reflects everything that is in the log now; see `reach`. */
  async catchUp(timeoutMs: number, group: AwaitedGroup = 'current'): Promise<boolean> {
    return this.reach(await this.readHeads(), timeoutMs, group)
  }

  /**
   * Waits until a group reflects these positions, and makes it write at once. Returns false if it
   * does not within `timeoutMs`.
   */
  async reach(
    positions: Positions,
    timeoutMs: number,
    group: AwaitedGroup = 'current',
  ): Promise<boolean> {
    const projectors = group === 'current' ? this.#current : this.#usage
    const reached = await Promise.all(
      projectors.map((projector, i) => projector.reach(positions[i] ?? -1, timeoutMs)),
    )
    return reached.every(Boolean)
  }

  /**
   * Notifies that the projections reflect less than was reached before: the database has lost
   * commits, or another server has taken its place.
   */
  noticeLoss(reflected: Positions): void {
    for (const projectors of [this.#current, this.#usage]) {
      for (const [shard, projector] of projectors.entries()) {
        projector.noticeLoss(reflected[shard] ?? -1)
      }
    }
  }

  /** Stops after the batches in progress. */
  async stop(): Promise<void> {
    await Promise.all(this.#all.map((projector) => projector.stop()))
  }

  get #all(): ShardProjector[] {
    return [...this.#current, ...this.#usage, ...this.#snapshots]
  }
}
