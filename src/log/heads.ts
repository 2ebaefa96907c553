import type { Positions } from '../events/positions.ts'

/**
 * Reads the heads of the log for many at once: however many ask, one read is under way, and one
 * more waits that serves all who asked after it began.
 */
export class SingleFlight {
  #running: Promise<Positions> | null = null
  #next: Promise<Positions> | null = null

  constructor(private readonly readHeads: () => Promise<Positions>) {}

  /** The heads as they were when this was called, or later. */
  read(): Promise<Positions> {
    if (this.#running === null) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<Positions> {
    this.#next = null
    const running = this.readHeads().finally(() => {
      if (this.#running === running) this.#running = null
    })
    this.#running = running
    return running
  }
}
