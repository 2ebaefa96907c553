import { WaitList } from '../../platform/async/wait-list.ts'
import { meets, NO_PROGRESS, type Progress, type ReadRequirement } from './progress.ts'

/**
 * Poll interval (ms) while a reader waits: a nearby replica has a commit within 1 to 2 ms, and a
 * poll costs it a fraction of one.
 */
const IDLE_MS = { shortest: 1, longest: 16 }

/** Watches how far a database has come: polls while any reader waits, once for all of them. */
export class ProgressWatch {
  /** As of the last poll. */
  progress: Progress = NO_PROGRESS
  readonly #waitList = new WaitList<ReadRequirement>()
  #isPolling = false

  constructor(
    private readonly readProgress: () => Promise<Progress>,
    /** Called when a poll fails; all waiting readers have then been released. */
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /**
   * Waits until the database meets the requirement. Returns false if it does not within `ms`, or
   * can't be reached.
   */
  async reach(requirement: ReadRequirement, ms: number): Promise<boolean> {
    if (meets(this.progress, requirement)) return true
    const isMet = this.#waitList.wait(requirement, ms)
    void this.#poll()
    return isMet
  }

  /** Records progress, and resolves the readers whose requirement it meets. */
  note(progress: Progress): void {
    this.progress = progress
    this.#waitList.resolveWhere((requirement) => meets(progress, requirement))
  }

  /** Releases all waiting readers; they get false. */
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
