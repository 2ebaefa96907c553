/**
 * Calls `work` at intervals, one call at a time: while a call is slow, none pile up behind it. The
 * next call comes `intervalMs` after the last one has ended, or after as many milliseconds as that
 * one returned. `work` must not reject, nor wait for `stop`.
 */
export class Poll {
  #timer: ReturnType<typeof setTimeout> | undefined
  #running: Promise<void> | null = null
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

  /**
   * Makes the next call at once, unless one is under way; resolves when that has ended. Makes none
   * after `stop`.
   */
  async now(): Promise<void> {
    clearTimeout(this.#timer)
    if (!this.#isStopped) this.#running ??= this.#call()
    await this.#running
  }

  /** Ends it, and resolves when the call under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  #schedule(ms: number): void {
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.now(), ms)
  }

  async #call(): Promise<void> {
    let next: unknown
    try {
      next = await this.work()
    } finally {
      this.#running = null
      this.#schedule(typeof next === 'number' ? next : this.intervalMs)
    }
  }
}
