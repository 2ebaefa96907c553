import { readRecord, type Target } from '../mapping.ts'
import { type Intake, take } from '../take.ts'
import type { Source } from './source.ts'

export type PullerOptions = Intake & {
  name: string
  source: Source
  from: 'now' | 'start'
  everyMs: number
  target: Target
  onError: (error: unknown) => void
}

/** The longest delay after failures in a row. */
const LONGEST_DELAY_MS = 60_000

/** Reads a source from time to time, until it is stopped. */
export class Puller {
  readonly #options: PullerOptions
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>

  constructor(options: PullerOptions) {
    this.#options = options
    this.#done = this.#run()
  }

  /** Waits for what was read to be stored. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    const { everyMs, onError } = this.#options
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      let isFull = false
      try {
        isFull = await this.#pull()
        failures = 0
      } catch (error) {
        failures++
        onError(error)
      }
      if (!isFull) await this.#sleep(Math.min(everyMs * 2 ** failures, LONGEST_DELAY_MS))
    }
  }

  /** Counts a page of records, and stores how far the source was read. True if there is more. */
  async #pull(): Promise<boolean> {
    const { name, source, from, target, collector } = this.#options
    const known = collector.cursorOf(name)
    const cursor = known ?? (await source.begin(from))
    if (known === null) collector.moveCursor(name, cursor)
    const page = await source.read(cursor)
    const readings = page.records.map((record) => readRecord(source.mapping, record, target))
    if (readings.length > 0) await take(this.#options, name, readings)
    if (page.cursor !== cursor) collector.moveCursor(name, page.cursor)
    return page.isFull
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping
      if (signal.aborted) return resolve()
      const timer = setTimeout(done, ms)
      function done() {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      signal.addEventListener('abort', done)
    })
  }
}
