/** Thrown if no permit became free in time. */
export class SemaphoreTimeout extends Error {
  override name = 'SemaphoreTimeout'
}

/**
 * Runs at most `permits` pieces of work at once. The others wait in order of arrival. It keeps work
 * that can wait from taking every connection of a pool.
 */
export class Semaphore {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(permits: number) {
    this.#free = permits
  }

  /** Runs the work once a permit is free. Rejects with SemaphoreTimeout after `timeoutMs`. */
  async run<Value>(work: () => Promise<Value>, timeoutMs?: number): Promise<Value> {
    if (this.#free > 0) this.#free--
    else await this.#wait(timeoutMs)
    try {
      return await work()
    } finally {
      // The permit passes straight to the next in line, so later arrivals can't overtake.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  #wait(timeoutMs: number | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const expire = () => {
      this.#waiting.splice(this.#waiting.indexOf(start), 1)
      reject(new SemaphoreTimeout())
    }
    const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs)
    const start = () => {
      clearTimeout(timer)
      resolve()
    }
    this.#waiting.push(start)
    return promise
  }
}
