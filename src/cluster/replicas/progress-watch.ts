import { WaitList } from '../../platform/async/wait-list.ts'
import { meets, NO_PROGRESS, type Progress, type ReadRequirement } from './progress.ts'

/**
 * Milliseconds between two looks while somebody waits: what was committed is on a replica nearby
 * within one or two, and a look costs it a fraction of one.
 */
const IDLE_MS = { shortest: 1, longest: 16 }

/** How far a database has come: looked at while somebody waits, once for all who do. */
export class ProgressWatch {
  /** As of the last look. */
  progress: Progress = NO_PROGRESS
  readonly #waitList = new WaitList<ReadRequirement>()
  #isPolling = false

  constructor(
    private readonly readProgress: () => Promise<Progress>,
    /** Called when a look fails: nobody waits any more then. */
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** Waits until what is needed is there; false where it isn't in `ms`, or can't be known. */
  async reach(requirement: ReadRequirement, ms: number): Promise<boolean> {
    if (meets(this.progress, requirement)) return true
    const isMet = this.#waitList.wait(requirement, ms)
    void this.#poll()
    return isMet
  }

  /** Tells how far it has come. */
  note(progress: Progress): void {
    this.progress = progress
    this.#waitList.resolveWhere((requirement) => meets(progress, requirement))
  }

  /** Lets all who wait go without it. */
  cancelAll(): void {
    this.#waitList.cancelAll()
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return
    this.#isPolling = true
    try {
      for (let idleMs = IDLE_MS.shortest; this.#waitList.size > 0; idleMs *= 2) {
        const waiting = this.#waitList.size
        this.note(await this.readProgress())
        if (this.#waitList.size < waiting) idleMs = IDLE_MS.shortest
        if (this.#waitList.size > 0) await Bun.sleep(Math.min(idleMs, IDLE_MS.longest))
      }
    } catch (error) {
      this.cancelAll()
      this.onFailure(error)
    }
    this.#isPolling = false
  }
}
