import { Waiters } from '../../platform/async/wait-list.ts'
import { meets, type Need, NO_PROGRESS, type Progress } from './progress.ts'

/**
 * Milliseconds between two looks while somebody waits: what was committed is on a replica nearby
 * within one or two, and a look costs it a fraction of one.
 */
const REST_MS = { shortest: 1, longest: 16 }

/** How far a database has come: looked at while somebody waits, once for all who do. */
export class ProgressWatch {
  /** As of the last look. */
  progress: Progress = NO_PROGRESS
  readonly #waiters = new Waiters<Need>()
  #isLooking = false

  constructor(
    private readonly readProgress: () => Promise<Progress>,
    /** Called when a look fails: nobody waits any more then. */
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** Waits until what is needed is there; false where it isn't in `ms`, or can't be known. */
  async reach(need: Need, ms: number): Promise<boolean> {
    if (meets(this.progress, need)) return true
    const isMet = this.#waiters.wait(need, ms)
    void this.#look()
    return isMet
  }

  /** Tells how far it has come. */
  note(progress: Progress): void {
    this.progress = progress
    this.#waiters.release((need) => meets(progress, need))
  }

  /** Lets all who wait go without it. */
  giveUp(): void {
    this.#waiters.giveUp()
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      for (let restMs = REST_MS.shortest; this.#waiters.size > 0; restMs *= 2) {
        const waiting = this.#waiters.size
        this.note(await this.readProgress())
        if (this.#waiters.size < waiting) restMs = REST_MS.shortest
        if (this.#waiters.size > 0) await Bun.sleep(Math.min(restMs, REST_MS.longest))
      }
    } catch (error) {
      this.giveUp()
      this.onFailure(error)
    }
    this.#isLooking = false
  }
}
