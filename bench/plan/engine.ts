/** Returns a generator of numbers in [0, 1), determined by its seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Entry = { at: number; run: () => void }

/** A priority queue of entries by time. */
class Heap {
  readonly #entries: Entry[] = []

  get first(): number {
    return this.#entries[0]?.at ?? Number.POSITIVE_INFINITY
  }

  add(entry: Entry): void {
    const entries = this.#entries
    let i = entries.push(entry) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (entries[parent]!.at <= entry.at) break
      entries[i] = entries[parent]!
      i = parent
    }
    entries[i] = entry
  }

  take(): Entry {
    const entries = this.#entries
    const first = entries[0]!
    const last = entries.pop()!
    if (entries.length === 0) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && entries[child + 1]!.at < entries[child]!.at) child++
      if (entries[child]!.at >= last.at) break
      entries[i] = entries[child]!
      i = child
    }
    entries[i] = last
    return first
  }
}

/**
 * Cores that threads share. All busy threads run at the same speed, none faster than one core.
 * `work` is the work done by a thread that was always busy, so a job ends when `work` has grown by
 * the length of the job since its start.
 */
class Cores {
  readonly ends = new Heap()
  running = 0
  work = 0
  at = 0
  /** Core time used (µs). */
  busy = 0

  constructor(readonly cores: number) {}

  get pace(): number {
    return this.running === 0 ? 0 : Math.min(1, this.cores / this.running)
  }

  goTo(at: number): void {
    const grown = (at - this.at) * this.pace
    this.work += grown
    this.busy += grown * this.running
    this.at = at
  }

  /** Time at which the next job ends, if none begins before. */
  get next(): number {
    if (this.running === 0) return Number.POSITIVE_INFINITY
    return this.at + Math.max(0, this.ends.first - this.work) / this.pace
  }
}

/** Runs one job after the other, in the order they arrive. */
export type Thread = { do(us: number, then: () => void): void }

/** A discrete-event simulation of threads and timers; times in µs. */
export class Engine {
  now = 0
  readonly #timers = new Heap()
  readonly #cores: Cores[] = []

  /** Adds a set of cores, on which threads can be added; `busy` returns the core time used (µs). */
  addCores(cores: number): { addThread(): Thread; busy(): number } {
    const set = new Cores(cores)
    this.#cores.push(set)
    return { addThread: () => this.#addThread(set), busy: () => set.busy }
  }

  after(us: number, run: () => void): void {
    this.#timers.add({ at: this.now + us, run })
  }

  runUntil(end: number): void {
    for (;;) {
      let next = this.#timers.first
      let set: Cores | null = null
      for (const cores of this.#cores) {
        if (cores.next < next) {
          next = cores.next
          set = cores
        }
      }
      if (next > end) break
      this.#goTo(next)
      const { run } = set === null ? this.#timers.take() : set.ends.take()
      run()
    }
    this.#goTo(end)
  }

  #goTo(at: number): void {
    this.now = Math.max(this.now, at)
    for (const cores of this.#cores) cores.goTo(this.now)
  }

  #addThread(cores: Cores): Thread {
    const waiting: { us: number; then: () => void }[] = []
    let isBusy = false
    const begin = ({ us, then }: { us: number; then: () => void }) => {
      isBusy = true
      cores.running++
      const end = () => {
        cores.running--
        isBusy = false
        then()
        if (!isBusy && waiting.length > 0) begin(waiting.shift()!)
      }
      cores.ends.add({ at: cores.work + us, run: end })
    }
    return {
      do: (us, then) => {
        if (isBusy || waiting.length > 0) waiting.push({ us, then })
        else begin({ us, then })
      },
    }
  }
}
