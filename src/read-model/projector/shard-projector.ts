import type { Logger } from 'pino'
import { WaitList } from '../../platform/async/wait-list.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Outages } from '../../platform/postgres/outages.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import { type Checkpoint, readCheckpoints } from './checkpoint.ts'
import type { EntryBatch } from './entry-batch.ts'
import { FoldBatch, LogLost } from './fold-batch.ts'
import type { Sharing } from './ownership.ts'
import type { ProjectionGroup } from './projection-groups.ts'
import { Sleep } from './sleep.ts'

/**
 * After a pass that took t it rests REST_FACTOR times t: a tenth of the time is spent here, nearly
 * all of it for writing counters.
 */
const REST_FACTOR = 9
/** Milliseconds of such a rest. */
const DUTY_MS = { shortest: 100, longest: 1_000 }
/**
 * Milliseconds of a short rest while it is far behind, and by how much it may be over late: if this
 * thread has nothing better to do, catching up takes what the machine has to spare.
 */
const SPARE_MS = { rest: 20, late: 5 }
/** Milliseconds for which it doesn't rest after a reader has come in vain. */
const HURRY_MS = 10_000
/** Milliseconds of reading after which a pass writes what it has, when it is far behind. */
const PASS_MS = 2_000
/** Milliseconds between two looks at a checkpoint that another instance is to move for a reader. */
const POLL_MS = 25

/** What can end a rest before its time. */
type WakeReason = 'append' | 'reader' | 'shared' | 'stop'

type Outcome = 'folded' | 'behind' | 'following' | 'newer' | 'failed'

/**
 * Folds one track of a shard: at once while a reader waits, otherwise paced by duty. Where another
 * instance tends the shard it stands by, holds nothing in memory, and helps readers who wait in
 * vain.
 */
export class ShardProjector {
  /** Readers, each waiting for a position. */
  readonly #waitList = new WaitList<number>()
  /** What is folded and not written; null where another projector does the work. */
  #batch: FoldBatch | null = null
  #position = -1
  #lastSeen = Number.NaN
  #movedAt = Number.NEGATIVE_INFINITY
  #awaitedSince = Number.NEGATIVE_INFINITY
  /** The furthest that readers on other instances wait for, and that those here have asked for. */
  #requested = -1
  #asked = -1
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
    private readonly sharing: Sharing,
    private readonly intervals: Intervals['projector'],
    private readonly logger: Logger,
    /** Shared by all shards and tracks. */
    private readonly outages: Outages,
    private readonly readLarge: ReadLarge | null,
  ) {}

  start(): void {
    this.#running = this.#run()
  }

  /** Tells that the shard has grown, and by what where that is at hand. */
  noticeAppend(batch?: EntryBatch): void {
    if (batch) this.#batch?.foldAppended(batch)
    this.#appended = true
    if (!this.#batch || this.#isDue(this.#batch)) this.#sleep.wake('append')
  }

  /** Tells that a reader on another instance waits for a position. */
  noticeRequest(position: number): void {
    this.#requested = Math.max(this.#requested, position)
    this.#sleep.wake('reader')
  }

  /** Tells that it may have become this instance's to fold the shard. */
  noticeShared(): void {
    this.#sleep.wake('shared')
  }

  /** Tells that a reader has come too early, and will come again. */
  hurry(): void {
    this.#hurriedAt = performance.now()
    this.#sleep.wake('reader')
  }

  /** Waits until the checkpoint is at `position` or past it; false after `timeoutMs`. */
  async reach(position: number, timeoutMs: number): Promise<boolean> {
    if (position <= this.#position) return true
    if (this.#waitList.size === 0) this.#awaitedSince = performance.now()
    const reached = this.#waitList.wait(position, timeoutMs)
    this.#sleep.wake('reader')
    return reached
  }

  /** Tells that the checkpoint is no further than this, whatever was reached before. */
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

  /** One pass; says how to rest after it. Whatever goes wrong, the next one starts afresh. */
  async #step(): Promise<Outcome> {
    try {
      const { project } = this.pools
      const { projections } = this.group
      const { checkpoints, isNewer } = await readCheckpoints(project, this.shard, projections)
      const isFollowing = this.#isFollowing(checkpoints)
      if (isNewer || isFollowing) {
        this.#batch = null
        return isFollowing ? 'following' : 'newer'
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
      } else this.logger.error({ shard: this.shard, err: error }, 'projector: pass failed')
      return 'failed'
    }
  }

  /** Brings a pass up to the log, and writes it where it is due or a reader waits. */
  async #fold(batch: FoldBatch): Promise<Outcome> {
    const { project } = this.pools
    const wanted = this.#requested
    let isBehind = false
    if (this.#mustPoll(batch)) {
      this.#polledAt = performance.now()
      isBehind = await batch.readFromLog(project, {
        readEvents: this.group.readEvents,
        isEnough: () => this.#isEnough(batch),
      })
    }
    if (batch.events > 0) {
      const isAtEnd = !isBehind && !batch.isAtNewer
      if (isAtEnd && !this.#isAwaited && !this.#isDue(batch)) return 'folded'
      if (this.#stopped && !this.#isDue(batch)) return 'folded'
      // From here on what is appended belongs to the next pass, which starts where this one ends.
      this.#batch = batch.next()
      this.#wroteAt = performance.now()
      if (!(await batch.write(project))) {
        this.#batch = null
        return 'folded'
      }
      if (this.#batch) await this.group.begin(project, this.#batch.checkpoints)
    }
    this.#noteReached(batch.position)
    if (batch.isAtNewer) {
      this.#batch = null
      return 'newer'
    }
    // What was wanted is reached now, or isn't in the log.
    if (!isBehind && this.#requested === wanted) this.#requested = -1
    return isBehind ? 'behind' : 'folded'
  }

  /** True where a pass that is far behind is to be written before it has read all. */
  #isEnough(batch: FoldBatch): boolean {
    if (this.#stopped || this.group.shouldFlush(batch)) return true
    // What is written only when it is full isn't written for having taken long.
    const isSplit = this.group.flushIntervalMs < Number.POSITIVE_INFINITY
    return isSplit && performance.now() - this.#polledAt >= PASS_MS
  }

  #isDue(batch: FoldBatch): boolean {
    return (
      this.group.shouldFlush(batch) ||
      performance.now() - this.#wroteAt >= this.group.flushIntervalMs
    )
  }

  /**
   * False where this process's own appends are all that is wanted: the log would only show once
   * more what is about to be handed over, a tenth of this thread's time under load.
   */
  #mustPoll(batch: FoldBatch): boolean {
    if (batch.events === 0 || batch.hasGap) return true
    if (performance.now() - this.#polledAt >= this.intervals.pollIntervalMs) return true
    return Math.max(this.#requested, this.#waitedFor) > batch.position
  }

  /** True where another projector does the work: that of the instance that tends the shard. */
  #isFollowing(checkpoints: Checkpoint[]): boolean {
    const position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
    const moved = position > this.#lastSeen
    this.#noteReached(position)
    // Another moves it all the same: one that doesn't know of this one, or helped a reader.
    if (this.sharing.owns(this.shard)) return moved && !this.#isAwaited
    if (this.#waitList.size === 0) return true
    const since = Math.max(this.#movedAt, this.#awaitedSince)
    return performance.now() - since < this.intervals.helpAfterMs
  }

  get #isAwaited(): boolean {
    return this.#waitList.size > 0 || this.#requested > this.#position
  }

  /** The furthest that readers here wait for. */
  get #waitedFor(): number {
    return Math.max(-1, ...this.#waitList.pending)
  }

  #noteReached(position: number): void {
    if (position > this.#lastSeen) this.#movedAt = performance.now()
    this.#lastSeen = position
    // Less than before where the database has lost commits.
    this.#position = position
    this.#waitList.resolveWhere((wanted) => wanted <= this.#position)
  }

  async #idle(outcome: Outcome, tookMs: number): Promise<void> {
    const { pollIntervalMs, retryAfterMs } = this.intervals
    if (outcome === 'failed') return this.#sleepFor(retryAfterMs, ['stop'])
    // Only newer code may fold the shard.
    if (outcome === 'newer') return this.#sleepFor(pollIntervalMs, ['stop'])
    if (outcome === 'following') return this.#standBy()
    if (this.#isAwaited) return
    if (outcome === 'behind' && (await this.#isIdle())) return
    const { longest } = this.group.idleMs
    const dutyMs = Math.min(Math.max(REST_FACTOR * tookMs, DUTY_MS.shortest), DUTY_MS.longest)
    await this.#sleepFor(dutyMs, ['reader', 'stop'])
    if (outcome === 'behind' || this.#isAwaited) return
    // Nothing that is due from this process: look again only when the longest rest is over.
    if (this.#appended && (!this.#batch || this.#isDue(this.#batch))) return
    await this.#sleepFor(longest - dutyMs, ['append', 'reader', 'shared', 'stop'])
  }

  /** True after a short rest in which this thread had nothing to do and nothing was appended. */
  async #isIdle(): Promise<boolean> {
    if (performance.now() - this.#hurriedAt < HURRY_MS) return true
    const rested = performance.now()
    await this.#sleepFor(SPARE_MS.rest, ['reader', 'stop'])
    const late = performance.now() - rested - SPARE_MS.rest
    return late < SPARE_MS.late && !this.#appended
  }

  async #standBy(): Promise<void> {
    if (this.sharing.owns(this.shard)) {
      const { pollIntervalMs } = this.intervals
      if (!this.#isAwaited) await this.#sleepFor(pollIntervalMs, ['reader', 'stop'])
      return
    }
    const position = this.#waitedFor
    if (position < 0) {
      this.#asked = -1
      return this.#sleepFor(this.group.idleMs.standby, ['reader', 'shared', 'stop'])
    }
    if (position > this.#asked) {
      this.#asked = position
      this.sharing.requestCatchUp({ shard: this.shard, group: this.group.name, position })
    }
    await this.#sleepFor(POLL_MS, ['stop'])
  }

  async #sleepFor(ms: number, wakeOn: WakeReason[]): Promise<void> {
    if (!this.#stopped) await this.#sleep.for(ms, wakeOn)
  }
}
