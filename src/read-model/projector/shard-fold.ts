import type { Sql } from '../../platform/postgres/pool.ts'
import { Pass } from './batch.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Track } from './groups.ts'

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
export type OnPass = (events: number) => void

/** Folds one shard into generations of one track, from their checkpoints on. */
export class ShardFold {
  constructor(
    private readonly sql: Sql,
    readonly shard: number,
    private readonly track: Track,
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
  async foldTo(to: number, onPass: OnPass, signal: AbortSignal): Promise<void> {
    const { track } = this
    const isSplit = track.waitMs < Number.POSITIVE_INFINITY
    while (this.position < to) {
      const until = performance.now() + PASS_MS
      const isEnough = (pass: Pass) => track.isFull(pass) || performance.now() >= until
      await this.#write(await this.#read(to, isSplit ? isEnough : () => false, signal), onPass)
    }
  }

  /** Folds up to `to`, and writes what fills a pass: the rest is left. Throws CheckpointMoved. */
  async foldFull(to: number, onPass: OnPass, signal: AbortSignal): Promise<void> {
    const isFull = (pass: Pass) => this.track.isFull(pass)
    for (;;) {
      const pass = await this.#read(to, isFull, signal)
      if (!isFull(pass)) return
      await this.#write(pass, onPass)
    }
  }

  async #read(to: number, isEnough: (pass: Pass) => boolean, signal: AbortSignal): Promise<Pass> {
    await this.track.begin(this.sql, this.checkpoints)
    const pass = new Pass(this.shard, this.track.projections, this.checkpoints)
    while (pass.position < to && !isEnough(pass)) {
      signal.throwIfAborted()
      const readEvents = Math.min(to - pass.position, this.track.readEvents)
      await pass.readNew(this.sql, { readEvents, isEnough: () => true })
      if (pass.isAtNewer) throw new WrittenByNewerCode(this.shard, pass.position + 1)
    }
    return pass
  }

  async #write(pass: Pass, onPass: OnPass): Promise<void> {
    if (!(await pass.write(this.sql))) {
      throw new CheckpointMoved('Another process has moved the checkpoint, or taken it away.')
    }
    this.checkpoints = pass.next().checkpoints
    onPass(pass.events)
  }
}
