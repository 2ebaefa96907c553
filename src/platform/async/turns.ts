/** A turn has not come in time. */
export class SemaphoreTimeout extends Error {
  override name = 'SemaphoreTimeout'
}

/**
 * Lets so many pieces of work run at once; the others wait, first come, first served. Owned by what
 * shares a pool of connections with somebody who must not wait.
 */
export class Semaphore {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** Runs the work when its turn comes. Rejects with SemaphoreTimeout where that takes `longestMs`. */
  async run<Value>(work: () => Promise<Value>, longestMs?: number): Promise<Value> {
    if (this.#free > 0) this.#free--
    else await this.#wait(longestMs)
    try {
      return await work()
    } finally {
      // Handed on as it is: nobody who comes now is before those who wait.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  #wait(longestMs: number | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const giveUp = () => {
      this.#waiting.splice(this.#waiting.indexOf(begin), 1)
      reject(new SemaphoreTimeout())
    }
    const timer = longestMs === undefined ? undefined : setTimeout(giveUp, longestMs)
    const begin = () => {
      clearTimeout(timer)
      resolve()
    }
    this.#waiting.push(begin)
    return promise
  }
}

/** Milliseconds of work after which others have a turn: nobody notices so little. */
const SLICE_MS = 10

/** Resolves when this thread has done what else is waiting for it. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Takes all that is made a step at a time, and lets others have their turn meanwhile. */
export async function runInTurns<Value, Made>(
  steps: Iterator<Value, Made>,
  run: (value: Value) => void = () => {},
): Promise<Made> {
  let began = performance.now()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    run(value)
    if (performance.now() - began < SLICE_MS) continue
    await nextTurn()
    began = performance.now()
  }
}
