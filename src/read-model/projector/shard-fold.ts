import type { Sql } from '../../platform/postgres/pool.ts'
import type { Checkpoint } from './checkpoint.ts'
import { FoldBatch } from './fold-batch.ts'
import type { ProjectionGroup } from './projection-groups.ts'

/** Milliseconds of reading after which a pass writes what it has. */
const PASS_MS = 2_000

/** Another process has moved a checkpoint, or taken the generation away. */
export class CheckpointMoved extends Error {
  override name = 'CheckpointMoved'
}

/** Older code folds the log where newer code already appends to it. */
class WrittenByNewerCode extends Error {
  override name = 'WrittenByNewerCode'

  constructor(shard: number, position: number) {
    super(`Event ${shard}/${position} was written by a newer version, which can fold it.`)
  }
}

/** What a fold tells after each pass. */
export type OnBatch = (events: number) => void

/** Folds one shard into generations of one track, from their checkpoints on. */
export class ShardFold {
  constructor(
    private readonly sql: Sql,
    readonly shard: number,
    private readonly group: ProjectionGroup,
    private checkpoints: readonly Checkpoint[],
  ) {}

  /** The last event that is folded and written. */
  get position(): number {
    return Math.min(...this.checkpoints.map(({ position }) => position))
  }

  /**
   * Folds up to `to` and writes all of it: in passes, or as one where each write is a snapshot.
   * Throws CheckpointMoved.
   */
  async foldUntil(to: number, onBatch: OnBatch, signal: AbortSignal): Promise<void> {
    const { group } = this
    const isSplit = group.flushIntervalMs < Number.POSITIVE_INFINITY
    while (this.position < to) {
      const until = performance.now() + PASS_MS
      const isEnough = (batch: FoldBatch) => group.shouldFlush(batch) || performance.now() >= until
      await this.#write(await this.#read(to, isSplit ? isEnough : () => false, signal), onBatch)
    }
  }

  /** Folds up to `to`, and writes what fills a pass: the rest is left. Throws CheckpointMoved. */
  async foldFullBatches(to: number, onBatch: OnBatch, signal: AbortSignal): Promise<void> {
    const shouldFlush = (batch: FoldBatch) => this.group.shouldFlush(batch)
    for (;;) {
      const batch = await this.#read(to, shouldFlush, signal)
      if (!shouldFlush(batch)) return
      await this.#write(batch, onBatch)
    }
  }

  async #read(
    to: number,
    isEnough: (batch: FoldBatch) => boolean,
    signal: AbortSignal,
  ): Promise<FoldBatch> {
    await this.group.begin(this.sql, this.checkpoints)
    const batch = new FoldBatch(this.shard, this.group.projections, this.checkpoints)
    while (batch.position < to && !isEnough(batch)) {
      signal.throwIfAborted()
      const readEvents = Math.min(to - batch.position, this.group.readEvents)
      await batch.readFromLog(this.sql, { readEvents, isEnough: () => true })
      if (batch.isAtNewer) throw new WrittenByNewerCode(this.shard, batch.position + 1)
    }
    return batch
  }

  async #write(batch: FoldBatch, onBatch: OnBatch): Promise<void> {
    if (!(await batch.write(this.sql))) {
      throw new CheckpointMoved('Another process has moved the checkpoint, or taken it away.')
    }
    this.checkpoints = batch.next().checkpoints
    onBatch(batch.events)
  }
}
