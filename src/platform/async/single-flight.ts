/**
 * Shares one read among many callers. At most one read runs, and at most one more is queued; the
 * queued one answers every caller that came after the running one began, so that no caller gets a
 * value older than their call.
 */
export class SingleFlight<Value> {
  #running: Promise<Value> | null = null
  #next: Promise<Value> | null = null

  constructor(private readonly load: () => Promise<Value>) {}

  /** Returns the value as of this call, or later. */
  read(): Promise<Value> {
    if (this.#next !== null) return this.#next
    if (this.#running === null) return this.#start()
    this.#next = this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<Value> {
    this.#next = null
    const running = this.load().finally(() => {
      if (this.#running === running) this.#running = null
    })
    this.#running = running
    return running
  }
}
