import type { Logger } from 'pino'
import { Sleep } from '../../platform/async/sleep.ts'
import { WaitList } from '../../platform/async/wait-list.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Outages } from '../../platform/postgres/outages.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import { type Checkpoint, readCheckpoints } from './checkpoint.ts'
import type { EntryBatch } from './entry-batch.ts'
import { FoldBatch, LogLost } from './fold-batch.ts'
import type { ShardOwnership } from './ownership.ts'
import type { ProjectionGroup, WriteBatch } from './projection-groups.ts'

/** After a batch that took t, the projector idles `factor` times t: it uses a tenth of the time. */
const IDLE = { factor: 9, shortestMs: 100, longestMs: 1_000 }
/**
 * While far behind, pause for `pause` ms. A wake-up less than `late` ms late means that the thread
 * has time to spare, and catching up goes on.
 */
const SPARE_MS = { pause: 20, late: 5 }
/** Milliseconds without idling after a reader failed because of the lag. */
const HURRY_MS = 10_000
/** While far behind, milliseconds of reading after which a batch is written. */
const MAX_BATCH_MS = 2_000
/** Interval (ms) of polling a checkpoint that the owner was asked to move. */
const POLL_MS = 25

/** Events that can end a sleep early. */
type WakeReason = 'append' | 'reader' | 'ownership' | 'stop'

type Outcome = 'folded' | 'behind' | 'standby' | 'newer' | 'failed'

/**
 * Folds one group of a shard: at once while a reader waits, otherwise at a bounded share of the
 * time. If another instance owns the shard, it is on standby: it holds nothing in memory, and folds
 * only for readers that the owner keeps waiting.
 */
export class ShardProjector {
  /** Readers on this instance, each waiting for a position. */
  readonly #waitList = new WaitList<number>()
  /** Folded but not written events; null while another projector does the work. */
  #batch: FoldBatch | null = null
  #position = -1
  #seenPosition = Number.NaN
  #movedAt = Number.NEGATIVE_INFINITY
  #awaitedSince = Number.NEGATIVE_INFINITY
  /** Furthest position that readers on other instances wait for. */
  #requested = -1
  /** Furthest position that was requested from the owner. */
  #requestSent = -1
  #polledAt = Number.NEGATIVE_INFINITY
  #wroteAt = performance.now()
  #hurriedAt = Number.NEGATIVE_INFINITY
  #appended = false
  #stopped = false
  #running: Promise<void> = Promise.resolve()
  readonly #sleep = new Sleep<WakeReason>()

  constructor(
    private readonly pools: Pools,
    private readonly shard: number,
    private readonly group: ProjectionGroup,
    private readonly ownership: ShardOwnership,
    private readonly intervals: Intervals['projector'],
    private readonly logger: Logger,
    /** Shared by all shards and groups. */
    private readonly outages: Outages,
    private readonly readLarge: ReadLarge | null,
    private readonly writeBatch: WriteBatch,
  ) {}

  start(): void {
    this.#running = this.#run()
  }

  /** Notifies that the shard has grown; `batch` has the new events, if available. */
  noticeAppend(batch?: EntryBatch): void {
    if (batch) this.#batch?.foldAppended(batch)
    this.#appended = true
    if (this.#hasWork) this.#sleep.wake('append')
  }

  /** Notifies that a reader on another instance waits for a position. */
  noticeRequest(position: number): void {
    this.#requested = Math.max(this.#requested, position)
    this.#sleep.wake('reader')
  }

  /** Notifies that ownership of the shard may have changed. */
  noticeOwnershipChange(): void {
    this.#sleep.wake('ownership')
  }

  /** Notifies that a reader failed because of the lag, and will retry. */
  hurry(): void {
    this.#hurriedAt = performance.now()
    this.#sleep.wake('reader')
  }

  /** Waits until the checkpoint is at or past `position`. Returns false after `timeoutMs`. */
  async reach(position: number, timeoutMs: number): Promise<boolean> {
    if (position <= this.#position) return true
    if (this.#waitList.size === 0) this.#awaitedSince = performance.now()
    const reached = this.#waitList.wait(position, timeoutMs)
    this.#sleep.wake('reader')
    return reached
  }

  /** Notifies that the checkpoint is no further than this, whatever was reached before. */
  noticeLoss(position: number): void {
    this.#position = Math.min(this.#position, position)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#sleep.wake('stop')
    await this.#running
    this.#waitList.cancelAll()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const started = performance.now()
      const outcome = await this.#step()
      if (outcome !== 'failed') this.outages.end(this.shard, this.group.name)
      await this.#idle(outcome, performance.now() - started)
    }
  }

  /** Runs one batch. After any error the next one starts from scratch. */
  async #step(): Promise<Outcome> {
    try {
      const { project } = this.pools
      const { projections } = this.group
      const { checkpoints, isNewer } = await readCheckpoints(project, this.shard, projections)
      const isStandby = this.#isStandby(checkpoints)
      if (isNewer || isStandby) {
        this.#batch = null
        return isStandby ? 'standby' : 'newer'
      }
      if (!this.#batch?.startsAt(checkpoints)) {
        await this.group.begin(project, checkpoints)
        this.#batch = new FoldBatch(this.shard, projections, checkpoints, this.readLarge)
      }
      this.#appended = false
      return await this.#fold(this.#batch)
    } catch (error) {
      this.#batch = null
      if (isUnavailable(error)) this.outages.note(this.shard, error, this.group.name)
      else if (error instanceof LogLost) {
        this.logger.error({ shard: this.shard, group: this.group.name }, error.message)
      } else this.logger.error({ shard: this.shard, err: error }, 'projector: batch failed')
      return 'failed'
    }
  }

  /** Brings a batch up to date with the log, and writes it if it is due or a reader waits. */
  async #fold(batch: FoldBatch): Promise<Outcome> {
    const { project } = this.pools
    const requested = this.#requested
    let isBehind = false
    if (this.#mustPoll(batch)) {
      this.#polledAt = performance.now()
      isBehind = await batch.readFromLog(project, {
        readEvents: this.group.readEvents,
        isEnough: () => this.#isEnough(batch),
      })
    }
    if (batch.events > 0) {
      const mayWait = (!isBehind && !batch.isAtNewer && !this.#hasReaders) || this.#stopped
      if (mayWait && !this.#isDue(batch)) return 'folded'
      // Appends now go to the next batch, which starts where this one ends.
      this.#batch = batch.next()
      this.#wroteAt = performance.now()
      if (!(await this.writeBatch(project, batch, this.group.name))) {
        this.#batch = null
        return 'folded'
      }
      await this.group.afterWrite?.(project, batch.checkpoints[0]!)
      if (this.#batch) await this.group.begin(project, this.#batch.checkpoints)
    }
    this.#noteReached(batch.position)
    if (batch.isAtNewer) {
      this.#batch = null
      return 'newer'
    }
    // The requested position is now reached, or is not in the log.
    if (!isBehind && this.#requested === requested) this.#requested = -1
    return isBehind ? 'behind' : 'folded'
  }

  /** True if a batch that is far behind must be written before it has read everything. */
  #isEnough(batch: FoldBatch): boolean {
    if (this.#stopped || this.group.shouldFlush(batch)) return true
    // A group that writes only full batches ignores how long a batch takes.
    const isSplit = this.group.flushIntervalMs < Number.POSITIVE_INFINITY
    return isSplit && performance.now() - this.#polledAt >= MAX_BATCH_MS
  }

  #isDue(batch: FoldBatch): boolean {
    const { shouldFlush, flushIntervalMs } = this.group
    return shouldFlush(batch) || performance.now() - this.#wroteAt >= flushIntervalMs
  }

  /** True if a batch should be written, or a gap be closed before much has to be read for that. */
  get #hasWork(): boolean {
    const batch = this.#batch
    if (!batch || this.#isDue(batch)) return true
    return batch.hasGap && performance.now() - this.#polledAt >= IDLE.shortestMs
  }

  /**
   * False if this process's own appends are all that is needed: the log would only return again
   * what is about to be handed over, at a tenth of this thread's time under load.
   */
  #mustPoll(batch: FoldBatch): boolean {
    if (batch.events === 0 || batch.hasGap) return true
    if (performance.now() - this.#polledAt >= this.intervals.pollIntervalMs) return true
    return Math.max(this.#requested, this.#furthestAwaited) > batch.position
  }

  /** True if another projector does the work, normally the owner's. */
  #isStandby(checkpoints: Checkpoint[]): boolean {
    const position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
    const moved = position > this.#seenPosition
    this.#noteReached(position)
    // Another one moved it: it does not know of this instance yet, or helped a reader.
    if (this.ownership.owns(this.shard)) return moved && !this.#hasReaders
    if (this.#waitList.size === 0) return true
    const since = Math.max(this.#movedAt, this.#awaitedSince)
    return performance.now() - since < this.intervals.helpAfterMs
  }

  get #hasReaders(): boolean {
    return this.#waitList.size > 0 || this.#requested > this.#position
  }

  /** The furthest position that readers on this instance wait for; -1 if there are none. */
  get #furthestAwaited(): number {
    return Math.max(-1, ...this.#waitList.pending)
  }

  #noteReached(position: number): void {
    if (position > this.#seenPosition) this.#movedAt = performance.now()
    this.#seenPosition = position
    // Less than before if the database has lost commits.
    this.#position = position
    this.#waitList.resolveWhere((requested) => requested <= this.#position)
  }

  async #idle(outcome: Outcome, tookMs: number): Promise<void> {
    const { pollIntervalMs, retryAfterMs } = this.intervals
    const { longest } = this.group.idleMs
    if (outcome === 'failed') return this.#sleepFor(retryAfterMs, ['stop'])
    // Only a newer release may fold the shard.
    if (outcome === 'newer') return this.#sleepFor(pollIntervalMs, ['stop'])
    if (outcome === 'standby') return this.#standBy()
    if (this.#hasReaders) return
    if (outcome === 'behind' && (await this.#hasSpareTime())) return
    const idleMs = Math.min(Math.max(IDLE.factor * tookMs, IDLE.shortestMs), IDLE.longestMs)
    await this.#sleepFor(idleMs, ['reader', 'stop'])
    if (outcome === 'behind' || this.#hasReaders) return
    // If nothing from this process is due, poll again only after the longest pause.
    if (this.#appended && this.#hasWork) return
    await this.#sleepFor(longest - idleMs, ['append', 'reader', 'ownership', 'stop'])
  }

  /** Pauses briefly. Returns true if this thread was idle and nothing was appended. */
  async #hasSpareTime(): Promise<boolean> {
    if (performance.now() - this.#hurriedAt < HURRY_MS) return true
    const pausedAt = performance.now()
    await this.#sleepFor(SPARE_MS.pause, ['reader', 'stop'])
    const late = performance.now() - pausedAt - SPARE_MS.pause
    return late < SPARE_MS.late && !this.#appended
  }

  async #standBy(): Promise<void> {
    if (this.ownership.owns(this.shard)) {
      const { pollIntervalMs } = this.intervals
      if (!this.#hasReaders) await this.#sleepFor(pollIntervalMs, ['reader', 'stop'])
      return
    }
    const position = this.#furthestAwaited
    if (position < 0) {
      this.#requestSent = -1
      return this.#sleepFor(this.group.idleMs.standby, ['reader', 'ownership', 'stop'])
    }
    if (position > this.#requestSent) {
      this.#requestSent = position
      this.ownership.requestCatchUp({ shard: this.shard, group: this.group.name, position })
    }
    await this.#sleepFor(POLL_MS, ['stop'])
  }

  async #sleepFor(ms: number, wakeOn: WakeReason[]): Promise<void> {
    if (!this.#stopped) await this.#sleep.for(ms, wakeOn)
  }
}
