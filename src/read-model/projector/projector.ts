import type { Logger } from 'pino'
import type { Positions } from '../../events/positions.ts'
import type { AppendedBatch } from '../../log/append.ts'
import { readHeads } from '../../log/read.ts'
import { SingleFlight } from '../../platform/async/single-flight.ts'
import { INTERVALS, type Intervals } from '../../platform/intervals.ts'
import { Outages } from '../../platform/postgres/outages.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import { toEntries } from './entry-batch.ts'
import { ALONE, type Sharing } from './ownership.ts'
import {
  currentGroup,
  type ProjectionGroup,
  snapshotGroup,
  usageGroup,
} from './projection-groups.ts'
import { ShardProjector } from './shard-projector.ts'

/** The tracks that readers wait for. */
export type AwaitedGroup = 'current' | 'usage'

/**
 * Keeps the projections up with the log, track by track and shard by shard. Any number may run on
 * one database: they share the shards, and the checkpoint's lock lets one of them write at a time.
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
    sharing: Sharing = ALONE,
    intervals: Intervals['projector'] = INTERVALS.projector,
    /** Null: here, in one go. */
    readLarge: ReadLarge | null = null,
  ) {
    const outages = new Outages(logger, {
      level: 'warn',
      begun: 'projector: database away',
      ended: 'projector: database back',
    })
    const each = (groupOf: (shard: number) => ProjectionGroup) =>
      Array.from(
        { length: shards },
        (_, shard) =>
          new ShardProjector(
            ...([pools, shard, groupOf(shard), sharing, intervals, logger] as const),
            ...([outages, readLarge] as const),
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

  /** Tells that this process has appended to a shard, and what where that is at hand. */
  noticeAppend(shard: number, appended?: AppendedBatch): void {
    const batch = appended && toEntries(appended)
    this.#current[shard]?.noticeAppend(batch)
    this.#usage[shard]?.noticeAppend(batch)
    this.#snapshots[shard]?.noticeAppend(batch)
  }

  /** The heads of the log as they are now; many who ask at once are answered by one read. */
  readHeads(): Promise<Positions> {
    return this.#heads.read()
  }

  /** Tells that a reader on another instance waits for a position of a track. */
  noticeRequest({ shard, group, position }: { shard: number; group: string; position: number }) {
    if (group === 'current') this.#current[shard]?.noticeRequest(position)
    if (group === 'usage') this.#usage[shard]?.noticeRequest(position)
  }

  /** Tells that the shards may be shared in another way now. */
  noticeShared(): void {
    for (const projector of this.#all) projector.noticeShared()
  }

  /** Tells that a reader of the past has come in vain. */
  hurrySnapshots(): void {
    for (const projector of this.#snapshots) projector.hurry()
  }

  /** Waits until a track reflects all that is in the log now; see `reach`. */
  async catchUp(timeoutMs: number, group: AwaitedGroup = 'current'): Promise<boolean> {
    return this.reach(await this.readHeads(), timeoutMs, group)
  }

  /**
   * Waits until a track reflects these positions, and hurries. False where it doesn't within
   * `timeoutMs`.
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
   * Tells that the projections reflect less than was reached: the database has lost commits, or
   * another server has taken its place.
   */
  noticeLoss(reflected: Positions): void {
    for (const projectors of [this.#current, this.#usage]) {
      for (const [shard, projector] of projectors.entries()) {
        projector.noticeLoss(reflected[shard] ?? -1)
      }
    }
  }

  /** Ends after the passes under way. */
  async stop(): Promise<void> {
    await Promise.all(this.#all.map((projector) => projector.stop()))
  }

  get #all(): ShardProjector[] {
    return [...this.#current, ...this.#usage, ...this.#snapshots]
  }
}
