import type { Logger } from 'pino'
import { Sleep } from '../../platform/async/sleep.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { TreeHeads } from './heads.ts'
import { integrateEvents, readBehind, STEP_EVENTS } from './integrate.ts'
import { isMissingRoots } from './tiles.ts'

/** Delay (ms) between two steps while the log is far ahead. */
const BEHIND_DELAY_MS = 20

/**
 * While this process appends, a step that took t ms is followed by an idle delay of `idleFactor` ×
 * t. That is 3 % of a core, or about 6,000 events a second. Faster appends build up a backlog, and
 * the delay shrinks with it to none at `events`. Without the delay, an ingest of 36,000 flushes a
 * second lost 16 %.
 */
const PACE = { idleFactor: 30, events: 600_000 }

/** `behind` if there is more to do at once. */
type State = 'idle' | 'behind'

/**
 * Keeps the tiles of all shards about a second behind the log, and signs the trees that have grown.
 * If there are several instances, only the owner of a shard does so, and the others adopt the heads
 * it signed. A step adds whatever has no leaf yet, so the next one completes what a killed process
 * left, and includes events that were appended before tiles, or their upper levels, existed.
 */
export class Integrator {
  #stopped = false
  #running: Promise<void> | null = null
  readonly #sleep = new Sleep<'stop'>()
  /** Shards whose last step failed. A log with a gap fails until an operator repairs it. */
  readonly #failing = new Set<number>()
  readonly #unsigned = new Set<number>()
  /** Shards whose upper levels have caught up once. From then on each step keeps them up. */
  readonly #whole = new Set<number>()
  /** Shards handled since the last signing, to be signed next. */
  readonly #toSign = new Set<number>()
  /**
   * For each shard, the size of its newest head at the last check, and since when it has that size.
   */
  readonly #seen: { size: number; since: number }[]
  #signedAt = Number.NEGATIVE_INFINITY
  /** Events that this process has appended since the last step, and the backlog of its appends. */
  #appendedEvents = 0
  #backlog = 0

  constructor(
    private readonly sql: Sql,
    private readonly shards: number,
    private readonly heads: TreeHeads,
    private readonly intervals: Intervals['transparency'],
    private readonly logger: Logger,
    /** True if this instance owns the shard. */
    private readonly owns: (shard: number) => boolean = () => true,
  ) {
    const since = performance.now()
    this.#seen = Array.from({ length: shards }, () => ({ size: 0, since }))
  }

  /** Reports that this process has appended so many events. */
  noticeAppend(events: number): void {
    this.#appendedEvents += events
  }

  /** Starts integrating and signing. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Stops after the step in progress, and waits for it. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#sleep.wake('stop')
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const started = performance.now()
      const integrated = await this.#integrateAll()
      const delayMs = this.#delayAfter(integrated, performance.now() - started)
      const signed = await this.#signGrown()
      if (this.#stopped) return
      await this.#sleep.for(Math.min(delayMs, this.#delayFor(signed)), ['stop'])
    }
  }

  #delayFor(state: State): number {
    return state === 'idle' ? this.intervals.pollIntervalMs : BEHIND_DELAY_MS
  }

  #delayAfter(integrated: State, tookMs: number): number {
    const appended = this.#appendedEvents
    this.#appendedEvents = 0
    if (integrated === 'idle') this.#backlog = 0
    else this.#backlog = Math.max(0, this.#backlog + appended - STEP_EVENTS * this.shards)
    if (integrated === 'idle' || appended === 0 || this.heads.isAwaited) {
      return this.#delayFor(integrated)
    }
    const idleFactor = PACE.idleFactor * (1 - this.#backlog / PACE.events)
    return Math.min(Math.max(tookMs * idleFactor, BEHIND_DELAY_MS), this.intervals.pollIntervalMs)
  }

  /**
   * Runs one step of each shard that this instance handles and that has something to add. One
   * statement checks all shards, most of which are usually idle. Returns `behind` if there may be
   * more to do at once.
   */
  async #integrateAll(): Promise<State> {
    const behind = await this.#readBehind()
    let hasMore = false
    for (let shard = 0; shard < this.shards && !this.#stopped; shard++) {
      if (!this.#handles(shard)) continue
      this.#toSign.add(shard)
      const isDone = this.#whole.has(shard) && !behind.has(shard)
      if (isDone) this.#failing.delete(shard)
      else if (await this.#integrate(shard)) hasMore = true
    }
    return hasMore ? 'behind' : 'idle'
  }

  /** Returns the shards that are behind; none if the database can't be read. */
  async #readBehind(): Promise<ReadonlySet<number>> {
    try {
      return await readBehind(this.sql)
    } catch (error) {
      if (!isUnavailable(error)) this.logger.error({ err: error }, 'transparency: cannot read log')
      return new Set()
    }
  }

  /** True if this instance owns the shard, or if the owner has not signed for `helpAfterMs`. */
  #handles(shard: number): boolean {
    const { size } = this.heads.newest(shard)
    const now = performance.now()
    const isUnchanged = size === this.#seen[shard]!.size
    const unchangedMs = now - this.#seen[shard]!.since
    const handles = this.owns(shard) || (isUnchanged && unchangedMs >= this.intervals.helpAfterMs)
    if (handles || !isUnchanged) this.#seen[shard] = { size, since: now }
    return handles
  }

  /**
   * Signs the trees that have grown, at most once per poll interval. Returns `behind` if there is
   * more to do at once.
   */
  async #signGrown(): Promise<State> {
    const agoMs = performance.now() - this.#signedAt
    if (this.#stopped || agoMs < this.intervals.pollIntervalMs * 0.9) return 'idle'
    this.#signedAt = performance.now()
    try {
      const signs = new Set([...this.#toSign].filter((shard) => !this.#isCatchingUp(shard)))
      this.#toSign.clear()
      const { more, failed } = await this.heads.signGrown((shard) => signs.has(shard))
      for (const [shard, error] of failed) this.#report(this.#unsigned, shard, error, 'not signed')
      for (const shard of this.#unsigned) if (!failed.has(shard)) this.#unsigned.delete(shard)
      return more ? 'behind' : 'idle'
    } catch (error) {
      if (!isUnavailable(error)) this.logger.error({ err: error }, 'transparency: not signed')
      return 'idle'
    }
  }

  /** Runs one step. Returns true if there is more to do at once, and false if the step failed. */
  async #integrate(shard: number): Promise<boolean> {
    try {
      const added = await integrateEvents(this.sql, shard)
      this.#failing.delete(shard)
      const isWhole = this.#whole.has(shard) || !(await isMissingRoots(this.sql, shard))
      if (isWhole) this.#whole.add(shard)
      return added === STEP_EVENTS || !isWhole
    } catch (error) {
      this.#report(this.#failing, shard, error, 'integration failed')
      return false
    }
  }

  /**
   * True while upper levels are still being filled. Such a tree is not signed: no proof could be
   * made for its head.
   */
  #isCatchingUp(shard: number): boolean {
    return !this.#whole.has(shard) && !this.#failing.has(shard)
  }

  /** Logs the first of consecutive failures of a shard. */
  #report(failing: Set<number>, shard: number, error: unknown, what: string): void {
    if (!failing.has(shard) && !isUnavailable(error)) {
      this.logger.error({ shard, err: error }, `transparency: ${what}`)
    }
    failing.add(shard)
  }
}
