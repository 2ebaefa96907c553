/**
 * Calls `work` at intervals, one call at a time: while a call is slow, none pile up behind it. The
 * next call comes `intervalMs` after the last one has ended, or after as many milliseconds as that
 * one returned. `work` must not reject, nor wait for `stop`.
 */
export class Poll {
  #timer: ReturnType<typeof setTimeout> | undefined
  #running: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(
    private readonly work: () => Promise<unknown>,
    private readonly intervalMs: number,
  ) {}

  /** True once nothing is called any more; what a call under way finds is then no longer wanted. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Makes the first call after `delayMs`. */
  start(delayMs = this.intervalMs): this {
    this.#schedule(delayMs)
    return this
  }

  /** Ends it, and resolves when the call under way has ended. */
  stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    return this.#running
  }

  #schedule(ms: number): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => {
      this.#running = this.#call()
    }, ms)
  }

  async #call(): Promise<void> {
    let next: unknown
    try {
      next = await this.work()
    } finally {
      this.#schedule(typeof next === 'number' ? next : this.intervalMs)
    }
  }
}
