import type { Logger } from 'pino'
import type { Pools } from '../db/pool.ts'
import type { Positions } from '../events/positions.ts'
import type { AppendedBatch } from '../log/append.ts'
import { readHeads } from '../log/read.ts'
import { ShardProjector } from './shard.ts'

/**
 * Keeps the projections up with the log, shard by shard. Any number may run on one database: the
 * checkpoint's lock lets one of them write at a time.
 */
export class Projector {
  readonly #shards: ShardProjector[]

  constructor(
    private readonly pools: Pools,
    shards: number,
    logger: Logger,
  ) {
    this.#shards = Array.from(
      { length: shards },
      (_, shard) => new ShardProjector(pools, shard, logger),
    )
  }

  start(): void {
    for (const shard of this.#shards) shard.start()
  }

  /** Tells that this process has appended to a shard, and what where that is at hand. */
  noticeAppend(shard: number, batch?: AppendedBatch): void {
    this.#shards[shard]?.noticeAppend(batch)
  }

  /** Waits until the projections reflect all that is in the log now; see `reach`. */
  async catchUp(timeoutMs: number): Promise<boolean> {
    return this.reach(await readHeads(this.pools.read), timeoutMs)
  }

  /**
   * Waits until the projections reflect these positions, and hurries. False where they don't within
   * `timeoutMs`.
   */
  async reach(positions: Positions, timeoutMs: number): Promise<boolean> {
    const reached = await Promise.all(
      this.#shards.map((shard, i) => shard.reach(positions[i] ?? -1, timeoutMs)),
    )
    return reached.every(Boolean)
  }

  /** Ends after the passes under way. */
  async stop(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.stop()))
  }
}
