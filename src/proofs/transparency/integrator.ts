import type { Logger } from 'pino'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { TreeHeads } from './heads.ts'
import { integrateEvents, readBehind, STEP_EVENTS } from './integrate.ts'
import { isMissingRoots } from './tiles.ts'

/** Milliseconds between two looks at a log that is far ahead. */
const BEHIND_REST_MS = 20

/**
 * Beside appends a step that took t is followed by a rest of so many t: 3 % of a core, which are
 * some 6,000 events a second. What comes faster is put off, and the more there is, the shorter the
 * rests; at this many events there is none. Without it an ingest of 36,000 flushes a second lost
 * 16 %.
 */
const PACE = { idleMs: 30, events: 600_000 }

/** Whether there is more to do at once. */
type State = 'idle' | 'behind'

/**
 * Keeps the tiles of all shards up with the log, a second behind it, and signs the trees that have
 * grown. Of several instances one does it for each shard, and the others adopt what it has signed.
 * What a killed one left, the next look adds; so it also takes in what was appended before there
 * were tiles, or levels of them.
 */
export class Integrator {
  #stopped = false
  #running: Promise<void> | null = null
  #wake: () => void = () => {}
  /** Shards whose last step failed: a log with a gap fails until somebody mends it. */
  readonly #failing = new Set<number>()
  readonly #unsigned = new Set<number>()
  /** Shards whose levels have caught up once: from then on each step keeps them up. */
  readonly #whole = new Set<number>()
  /** Shards that were looked at since the last signing, and are to be signed. */
  readonly #mine = new Set<number>()
  /** Of each shard how large its newest head was when it was looked at last, and since when. */
  readonly #seen: { size: number; since: number }[]
  #signedAt = Number.NEGATIVE_INFINITY
  /** Events that this process has appended since the last step, and those put off so far. */
  #appended = 0
  #putOff = 0

  constructor(
    private readonly sql: Sql,
    private readonly shards: number,
    private readonly heads: TreeHeads,
    private readonly intervals: Intervals['transparency'],
    private readonly logger: Logger,
    /** Whether this instance is the one that does it for a shard. */
    private readonly owns: (shard: number) => boolean = () => true,
  ) {
    const since = performance.now()
    this.#seen = Array.from({ length: shards }, () => ({ size: 0, since }))
  }

  /** Tells that this process has appended so many events. */
  noticeAppend(events: number): void {
    this.#appended += events
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const started = performance.now()
      const integrated = await this.#integrateAll()
      const restMs = this.#restAfter(integrated, performance.now() - started)
      const signed = await this.#signGrown()
      await this.#restFor(Math.min(restMs, this.#restIn(signed)))
    }
  }

  #restIn(state: State): number {
    return state === 'idle' ? this.intervals.pollIntervalMs : BEHIND_REST_MS
  }

  #restAfter(integrated: State, tookMs: number): number {
    const appended = this.#appended
    this.#appended = 0
    if (integrated === 'idle') this.#putOff = 0
    else this.#putOff = Math.max(0, this.#putOff + appended - STEP_EVENTS * this.shards)
    if (integrated === 'idle' || appended === 0 || this.heads.isAwaited) {
      return this.#restIn(integrated)
    }
    const idleMs = PACE.idleMs * (1 - this.#putOff / PACE.events)
    return Math.min(Math.max(tookMs * idleMs, BEHIND_REST_MS), this.intervals.pollIntervalMs)
  }

  /**
   * One step of each shard that is this one's and has something to add; says whether there may be
   * more to do at once. One statement looks at all of them: most of many shards rest.
   */
  async #integrateAll(): Promise<State> {
    const behind = await this.#readBehind()
    let hasMore = false
    for (let shard = 0; shard < this.shards && !this.#stopped; shard++) {
      if (!this.#isMine(shard)) continue
      this.#mine.add(shard)
      const isDone = this.#whole.has(shard) && !behind.has(shard)
      if (isDone) this.#failing.delete(shard)
      else if (await this.#integrate(shard)) hasMore = true
    }
    return hasMore ? 'behind' : 'idle'
  }

  /** None where that can't be told now. */
  async #readBehind(): Promise<ReadonlySet<number>> {
    try {
      return await readBehind(this.sql)
    } catch (error) {
      if (!isUnavailable(error)) this.logger.error({ err: error }, 'transparency: log not read')
      return new Set()
    }
  }

  /** True where this instance tends the shard, or the one that does hasn't signed for long. */
  #isMine(shard: number): boolean {
    const { size } = this.heads.newest(shard)
    const now = performance.now()
    const isStill = size === this.#seen[shard]!.size
    const stillMs = now - this.#seen[shard]!.since
    const isMine = this.owns(shard) || (isStill && stillMs >= this.intervals.helpAfterMs)
    if (isMine || !isStill) this.#seen[shard] = { size, since: now }
    return isMine
  }

  /** Signs what has grown, once a second at most; says whether there is more to do at once. */
  async #signGrown(): Promise<State> {
    const agoMs = performance.now() - this.#signedAt
    if (this.#stopped || agoMs < this.intervals.pollIntervalMs * 0.9) return 'idle'
    this.#signedAt = performance.now()
    try {
      const signs = new Set([...this.#mine].filter((shard) => !this.#isCatchingUp(shard)))
      this.#mine.clear()
      const { more, failed } = await this.heads.signGrown((shard) => signs.has(shard))
      for (const [shard, error] of failed) this.#report(this.#unsigned, shard, error, 'not signed')
      for (const shard of this.#unsigned) if (!failed.has(shard)) this.#unsigned.delete(shard)
      return more ? 'behind' : 'idle'
    } catch (error) {
      if (!isUnavailable(error)) this.logger.error({ err: error }, 'transparency: not signed')
      return 'idle'
    }
  }

  /** Whether there is more to do at once; not where it failed, which is said once in a row. */
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

  /** While levels are missing, nothing is signed: nobody could prove anything by such a head. */
  #isCatchingUp(shard: number): boolean {
    return !this.#whole.has(shard) && !this.#failing.has(shard)
  }

  /** Says once in a row what failed. */
  #report(failing: Set<number>, shard: number, error: unknown, what: string): void {
    if (!failing.has(shard) && !isUnavailable(error)) {
      this.logger.error({ shard, err: error }, `transparency: ${what}`)
    }
    failing.add(shard)
  }

  async #restFor(ms: number): Promise<void> {
    if (this.#stopped) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
