/** The maximum number of stored names; beyond it the oldest one is dropped. */
const MAX_NAMES = 10_000

/** Counts names within a time window; the window of a name starts with its first count. */
export class WindowCounts {
  readonly #counts = new Map<string, { count: number; since: number }>()

  constructor(private readonly windowMs: number) {}

  /** The number of stored names, including expired ones that were not queried since. */
  get size(): number {
    return this.#counts.size
  }

  count(name: string): number {
    const found = this.#counts.get(name)
    if (found === undefined) return 0
    if (performance.now() - found.since < this.windowMs) return found.count
    this.#counts.delete(name)
    return 0
  }

  add(name: string): void {
    if (this.count(name) > 0) {
      this.#counts.get(name)!.count++
      return
    }
    if (this.#counts.size >= MAX_NAMES) {
      const [oldest] = this.#counts.keys()
      this.#counts.delete(oldest!)
    }
    this.#counts.set(name, { count: 1, since: performance.now() })
  }

  /** Returns the seconds until the window of a name ends, at least 1; 1 for an unknown name. */
  secondsLeft(name: string): number {
    const since = this.#counts.get(name)?.since ?? Number.NEGATIVE_INFINITY
    return Math.max(1, Math.ceil((since + this.windowMs - performance.now()) / 1_000))
  }
}
