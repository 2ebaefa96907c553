import type { Sql } from '../../platform/postgres/pool.ts'
import type { Checkpoint } from './checkpoint.ts'
import { FoldBatch } from './fold-batch.ts'
import type { ProjectionGroup } from './projection-groups.ts'

/** Milliseconds of reading after which a batch is written. */
const MAX_BATCH_MS = 2_000

/** Another process has moved a checkpoint, or dropped the generation. */
export class CheckpointMoved extends Error {
  override name = 'CheckpointMoved'
}

/** This release is folding a log to which a newer release already appends. */
class WrittenByNewerCode extends Error {
  override name = 'WrittenByNewerCode'

  constructor(shard: number, position: number) {
    super(`Event ${shard}/${position} was written by a newer version. Upgrade to fold it.`)
  }
}

/** Called after each batch with its number of events. */
export type OnBatch = (events: number) => void

/** Folds one shard into generations of one group, starting at their checkpoints. */
export class ShardFold {
  constructor(
    private readonly sql: Sql,
    readonly shard: number,
    private readonly group: ProjectionGroup,
    private checkpoints: readonly Checkpoint[],
  ) {}

  /** Position of the last event that is folded and written. */
  get position(): number {
    return Math.min(...this.checkpoints.map(({ position }) => position))
  }

  /**
   * Folds through a position and writes everything: in batches, or as one if each write is a
   * snapshot. Throws CheckpointMoved.
   */
  async foldUntil(through: number, onBatch: OnBatch, signal: AbortSignal): Promise<void> {
    const { group } = this
    const isSplit = group.flushIntervalMs < Number.POSITIVE_INFINITY
    while (this.position < through) {
      const until = performance.now() + MAX_BATCH_MS
      const isEnough = (batch: FoldBatch) => group.shouldFlush(batch) || performance.now() >= until
      await this.#write(
        await this.#read(through, isSplit ? isEnough : () => false, signal),
        onBatch,
      )
    }
  }

  /**
   * Folds through a position, and writes only full batches: the remainder is not written. Throws
   * CheckpointMoved.
   */
  async foldFullBatches(through: number, onBatch: OnBatch, signal: AbortSignal): Promise<void> {
    const shouldFlush = (batch: FoldBatch) => this.group.shouldFlush(batch)
    for (;;) {
      const batch = await this.#read(through, shouldFlush, signal)
      if (!shouldFlush(batch)) return
      await this.#write(batch, onBatch)
      await this.group.afterWrite?.(this.sql, this.checkpoints[0]!)
    }
  }

  async #read(
    through: number,
    isEnough: (batch: FoldBatch) => boolean,
    signal: AbortSignal,
  ): Promise<FoldBatch> {
    await this.group.begin(this.sql, this.checkpoints)
    const batch = new FoldBatch(this.shard, this.group.projections, this.checkpoints)
    while (batch.position < through && !isEnough(batch)) {
      signal.throwIfAborted()
      const readEvents = Math.min(through - batch.position, this.group.readEvents)
      await batch.readFromLog(this.sql, { readEvents, isEnough: () => true })
      if (batch.isAtNewer) throw new WrittenByNewerCode(this.shard, batch.position + 1)
    }
    return batch
  }

  async #write(batch: FoldBatch, onBatch: OnBatch): Promise<void> {
    if (!(await batch.write(this.sql))) {
      throw new CheckpointMoved('Another process has moved or deleted the checkpoint.')
    }
    this.checkpoints = batch.next().checkpoints
    onBatch(batch.events)
  }
}
