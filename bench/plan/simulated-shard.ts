import type { Engine, Thread } from './engine.ts'
import { APPEND_BATCH, largestBatch } from './rules.ts'
import type { UnitCosts } from './unit-costs.ts'

export type SimulatedFlush = { begun: number; settled: () => void }

/** A lock that is granted in the order of requests. */
export class Lock {
  #isHeld = false
  readonly #waiting: (() => void)[] = []

  take(then: () => void): void {
    if (this.#isHeld) this.#waiting.push(then)
    else {
      this.#isHeld = true
      then()
    }
  }

  release(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#isHeld = false
  }
}

/** A disk with one fsync at a time; requests during an fsync share the next one. */
export class Disk {
  #waiting: (() => void)[] = []
  #isBusy = false
  fsyncs = 0

  constructor(
    private readonly engine: Engine,
    private readonly drawUs: () => number,
  ) {}

  sync(then: () => void): void {
    this.#waiting.push(then)
    if (!this.#isBusy) this.#begin()
  }

  #begin(): void {
    const served = this.#waiting
    this.#waiting = []
    this.#isBusy = true
    this.fsyncs++
    this.engine.after(this.drawUs(), () => {
      this.#isBusy = false
      for (const then of served) then()
      if (!this.#isBusy && this.#waiting.length > 0) this.#begin()
    })
  }
}

/** What an appender runs on; lock and disk are shared with other appenders. */
export type Parts = { thread: Thread; backend: Thread; lock: Lock; disk: Disk }

/**
 * Appender of one instance and shard, as in src/log/append.ts: one batch in flight, and the next
 * one no larger than the mean of the last one and of the waiting flushes.
 */
export class SimulatedAppender {
  readonly #waiting: SimulatedFlush[] = []
  #last = 0
  #isRunning = false
  #length = 0
  commits = 0
  onAppended: (flushes: number) => void = () => {}

  constructor(
    private readonly costs: UnitCosts,
    private readonly keys: number,
    private readonly parts: Parts,
  ) {}

  /** Flushes accepted and not answered. */
  get length(): number {
    return this.#length
  }

  add(flush: SimulatedFlush): void {
    this.#waiting.push(flush)
    this.#length++
    if (!this.#isRunning) this.#send()
  }

  #send(): void {
    const mean = Math.ceil((this.#last + this.#waiting.length) / 2)
    const max = largestBatch(this.costs.databaseBytes.key * this.keys)
    const batch = this.#waiting.splice(0, Math.min(Math.max(mean, APPEND_BATCH.fewest), max))
    this.#last = batch.length
    this.#isRunning = batch.length > 0
    if (!this.#isRunning) return
    const { thread, backend, lock, disk } = this.parts
    const { commit, flush, key } = this.costs.append
    const appendUs = commit + batch.length * (flush + key * this.keys)
    const append = () =>
      backend.do(appendUs, () =>
        disk.sync(() => {
          lock.release()
          this.#settle(batch)
        }),
      )
    // The event loop handles the database's answers in turn with requests. When they were simulated
    // before the requests, batches had a quarter of the flushes measured on four shards.
    thread.do(this.costs.thread.commit, () => lock.take(append))
  }

  #settle(batch: SimulatedFlush[]): void {
    this.commits++
    this.#length -= batch.length
    for (const { settled } of batch) settled()
    this.onAppended(batch.length)
    this.#send()
  }
}
