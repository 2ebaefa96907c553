import type { Logger } from 'pino'
import type { Pools } from '../db/pool.ts'
import type { Positions } from '../events/positions.ts'
import type { AppendedBatch } from '../log/append.ts'
import { readHeads } from '../log/read.ts'
import { ShardProjector } from './shard.ts'
import { currentTrack, snapshotTrack, type Track, usageTrack } from './tracks.ts'

/** The tracks that readers wait for. */
export type ReadTrack = 'current' | 'usage'

/**
 * Keeps the projections up with the log, track by track and shard by shard. Any number may run on
 * one database: the checkpoint's lock lets one of them write at a time.
 */
export class Projector {
  readonly #current: ShardProjector[]
  readonly #usage: ShardProjector[]
  readonly #snapshots: ShardProjector[]

  constructor(
    private readonly pools: Pools,
    shards: number,
    logger: Logger,
  ) {
    const each = (trackOf: (shard: number) => Track) =>
      Array.from(
        { length: shards },
        (_, shard) => new ShardProjector(pools, shard, trackOf(shard), logger),
      )
    this.#current = each(currentTrack)
    this.#usage = each(usageTrack)
    this.#snapshots = each(snapshotTrack)
  }

  start(): void {
    for (const projector of this.#all) projector.start()
  }

  /** Tells that this process has appended to a shard, and what where that is at hand. */
  noticeAppend(shard: number, batch?: AppendedBatch): void {
    this.#current[shard]?.noticeAppend(batch)
    this.#usage[shard]?.noticeAppend(batch)
    this.#snapshots[shard]?.noticeAppend(batch)
  }

  /** Waits until a track reflects all that is in the log now; see `reach`. */
  async catchUp(timeoutMs: number, track: ReadTrack = 'current'): Promise<boolean> {
    return this.reach(await readHeads(this.pools.read), timeoutMs, track)
  }

  /**
   * Waits until a track reflects these positions, and hurries. False where it doesn't within
   * `timeoutMs`.
   */
  async reach(
    positions: Positions,
    timeoutMs: number,
    track: ReadTrack = 'current',
  ): Promise<boolean> {
    const projectors = track === 'current' ? this.#current : this.#usage
    const reached = await Promise.all(
      projectors.map((projector, i) => projector.reach(positions[i] ?? -1, timeoutMs)),
    )
    return reached.every(Boolean)
  }

  /** Ends after the passes under way. */
  async stop(): Promise<void> {
    await Promise.all(this.#all.map((projector) => projector.stop()))
  }

  get #all(): ShardProjector[] {
    return [...this.#current, ...this.#usage, ...this.#snapshots]
  }
}
