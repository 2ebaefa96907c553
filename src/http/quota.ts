/** Names that are remembered; beyond them the oldest is forgotten. */
const MAX_NAMES = 10_000

/** So many times in so many milliseconds, each name by itself. */
export class Quota {
  readonly #used = new Map<string, { count: number; since: number }>()

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
  ) {}

  /** Seconds after which it is there again; null, and one less is left, where it is there now. */
  take(name: string): number | null {
    const now = performance.now()
    const used = this.#used.get(name)
    if (used === undefined || now - used.since >= this.windowMs) {
      this.#used.delete(name)
      if (this.#used.size >= MAX_NAMES) {
        const [oldest] = this.#used.keys()
        this.#used.delete(oldest!)
      }
      this.#used.set(name, { count: 1, since: now })
      return null
    }
    if (used.count < this.limit) {
      used.count++
      return null
    }
    return Math.ceil((used.since + this.windowMs - now) / 1_000)
  }
}
