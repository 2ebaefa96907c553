import type { Logger } from 'pino'
import { Waiters } from '../../platform/async/wait-list.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Outages } from '../../platform/postgres/outages.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import { LogLost, Pass } from './batch.ts'
import { type Checkpoint, readCheckpoints } from './checkpoint.ts'
import type { EntryBatch } from './entry-batch.ts'
import type { Track } from './groups.ts'
import type { Sharing } from './ownership.ts'
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
type Waker = 'append' | 'reader' | 'shared' | 'stop'

type Outcome = 'folded' | 'behind' | 'following' | 'newer' | 'failed'

/**
 * Folds one track of a shard: at once while a reader waits, otherwise paced by duty. Where another
 * instance tends the shard it stands by, holds nothing in memory, and helps readers who wait in
 * vain.
 */
export class ShardProjector {
  /** Readers, each waiting for a position. */
  readonly #waiters = new Waiters<number>()
  /** What is folded and not written; null where another projector does the work. */
  #pass: Pass | null = null
  #position = -1
  #lastSeen = Number.NaN
  #movedAt = Number.NEGATIVE_INFINITY
  #awaitedSince = Number.NEGATIVE_INFINITY
  /** The furthest that readers on other instances wait for, and that those here have asked for. */
  #wanted = -1
  #asked = -1
  #lookedAt = Number.NEGATIVE_INFINITY
  #wroteAt = performance.now()
  #hurriedAt = Number.NEGATIVE_INFINITY
  #appended = false
  #stopped = false
  #running: Promise<void> = Promise.resolve()
  readonly #sleep = new Sleep<Waker>()

  constructor(
    private readonly pools: Pools,
    private readonly shard: number,
    private readonly track: Track,
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
    if (batch) this.#pass?.foldAppended(batch)
    this.#appended = true
    if (!this.#pass || this.#isDue(this.#pass)) this.#sleep.wake('append')
  }

  /** Tells that a reader on another instance waits for a position. */
  noticeWanted(position: number): void {
    this.#wanted = Math.max(this.#wanted, position)
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
    if (this.#waiters.size === 0) this.#awaitedSince = performance.now()
    const reached = this.#waiters.wait(position, timeoutMs)
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
    this.#waiters.giveUp()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const started = performance.now()
      const outcome = await this.#step()
      if (outcome !== 'failed') this.outages.end(this.shard, this.track.name)
      await this.#rest(outcome, performance.now() - started)
    }
  }

  /** One pass; says how to rest after it. Whatever goes wrong, the next one starts afresh. */
  async #step(): Promise<Outcome> {
    try {
      const { project } = this.pools
      const { projections } = this.track
      const { checkpoints, isNewer } = await readCheckpoints(project, this.shard, projections)
      const isFollowing = this.#isFollowing(checkpoints)
      if (isNewer || isFollowing) {
        this.#pass = null
        return isFollowing ? 'following' : 'newer'
      }
      if (!this.#pass?.startsAt(checkpoints)) {
        await this.track.begin(project, checkpoints)
        this.#pass = new Pass(this.shard, projections, checkpoints, this.readLarge)
      }
      this.#appended = false
      return await this.#fold(this.#pass)
    } catch (error) {
      this.#pass = null
      if (isUnavailable(error)) this.outages.note(this.shard, error, this.track.name)
      else if (error instanceof LogLost) {
        this.logger.error({ shard: this.shard, track: this.track.name }, error.message)
      } else this.logger.error({ shard: this.shard, err: error }, 'projector: pass failed')
      return 'failed'
    }
  }

  /** Brings a pass up to the log, and writes it where it is due or a reader waits. */
  async #fold(pass: Pass): Promise<Outcome> {
    const { project } = this.pools
    const wanted = this.#wanted
    let isBehind = false
    if (this.#mustLook(pass)) {
      this.#lookedAt = performance.now()
      isBehind = await pass.readNew(project, {
        readEvents: this.track.readEvents,
        isEnough: () => this.#isEnough(pass),
      })
    }
    if (pass.events > 0) {
      const isAtEnd = !isBehind && !pass.isAtNewer
      if (isAtEnd && !this.#isAwaited && !this.#isDue(pass)) return 'folded'
      if (this.#stopped && !this.#isDue(pass)) return 'folded'
      // From here on what is appended belongs to the next pass, which starts where this one ends.
      this.#pass = pass.next()
      this.#wroteAt = performance.now()
      if (!(await pass.write(project))) {
        this.#pass = null
        return 'folded'
      }
      if (this.#pass) await this.track.begin(project, this.#pass.checkpoints)
    }
    this.#noteReached(pass.position)
    if (pass.isAtNewer) {
      this.#pass = null
      return 'newer'
    }
    // What was wanted is reached now, or isn't in the log.
    if (!isBehind && this.#wanted === wanted) this.#wanted = -1
    return isBehind ? 'behind' : 'folded'
  }

  /** True where a pass that is far behind is to be written before it has read all. */
  #isEnough(pass: Pass): boolean {
    if (this.#stopped || this.track.isFull(pass)) return true
    // What is written only when it is full isn't written for having taken long.
    const isSplit = this.track.waitMs < Number.POSITIVE_INFINITY
    return isSplit && performance.now() - this.#lookedAt >= PASS_MS
  }

  #isDue(pass: Pass): boolean {
    return this.track.isFull(pass) || performance.now() - this.#wroteAt >= this.track.waitMs
  }

  /**
   * False where this process's own appends are all that is wanted: the log would only show once
   * more what is about to be handed over, a tenth of this thread's time under load.
   */
  #mustLook(pass: Pass): boolean {
    if (pass.events === 0 || pass.isMissingSome) return true
    if (performance.now() - this.#lookedAt >= this.intervals.pollIntervalMs) return true
    return Math.max(this.#wanted, this.#waitedFor) > pass.position
  }

  /** True where another projector does the work: that of the instance that tends the shard. */
  #isFollowing(checkpoints: Checkpoint[]): boolean {
    const position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
    const moved = position > this.#lastSeen
    this.#noteReached(position)
    // Another moves it all the same: one that doesn't know of this one, or helped a reader.
    if (this.sharing.tends(this.shard)) return moved && !this.#isAwaited
    if (this.#waiters.size === 0) return true
    const since = Math.max(this.#movedAt, this.#awaitedSince)
    return performance.now() - since < this.intervals.helpAfterMs
  }

  get #isAwaited(): boolean {
    return this.#waiters.size > 0 || this.#wanted > this.#position
  }

  /** The furthest that readers here wait for. */
  get #waitedFor(): number {
    return Math.max(-1, ...this.#waiters.needs)
  }

  #noteReached(position: number): void {
    if (position > this.#lastSeen) this.#movedAt = performance.now()
    this.#lastSeen = position
    // Less than before where the database has lost commits.
    this.#position = position
    this.#waiters.release((wanted) => wanted <= this.#position)
  }

  async #rest(outcome: Outcome, tookMs: number): Promise<void> {
    const { pollIntervalMs, retryAfterMs } = this.intervals
    if (outcome === 'failed') return this.#sleepFor(retryAfterMs, ['stop'])
    // Only newer code may fold the shard.
    if (outcome === 'newer') return this.#sleepFor(pollIntervalMs, ['stop'])
    if (outcome === 'following') return this.#standBy()
    if (this.#isAwaited) return
    if (outcome === 'behind' && (await this.#isIdle())) return
    const { longest } = this.track.restMs
    const dutyMs = Math.min(Math.max(REST_FACTOR * tookMs, DUTY_MS.shortest), DUTY_MS.longest)
    await this.#sleepFor(dutyMs, ['reader', 'stop'])
    if (outcome === 'behind' || this.#isAwaited) return
    // Nothing that is due from this process: look again only when the longest rest is over.
    if (this.#appended && (!this.#pass || this.#isDue(this.#pass))) return
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
    if (this.sharing.tends(this.shard)) {
      const { pollIntervalMs } = this.intervals
      if (!this.#isAwaited) await this.#sleepFor(pollIntervalMs, ['reader', 'stop'])
      return
    }
    const position = this.#waitedFor
    if (position < 0) {
      this.#asked = -1
      return this.#sleepFor(this.track.restMs.standby, ['reader', 'shared', 'stop'])
    }
    if (position > this.#asked) {
      this.#asked = position
      this.sharing.ask({ shard: this.shard, track: this.track.name, position })
    }
    await this.#sleepFor(POLL_MS, ['stop'])
  }

  async #sleepFor(ms: number, endsOn: Waker[]): Promise<void> {
    if (!this.#stopped) await this.#sleep.for(ms, endsOn)
  }
}
