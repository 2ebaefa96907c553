/** Those who wait for something to come, each for a time of its own at most. */
export class WaitList<Need> {
  readonly #waiting = new Set<{ need: Need; settle: (isMet: boolean) => void }>()

  get size(): number {
    return this.#waiting.size
  }

  /** What they wait for. */
  get pending(): Need[] {
    return [...this.#waiting].map(({ need }) => need)
  }

  /** Waits until the need is met; false where it isn't in `ms`, or nobody can tell. */
  wait(need: Need, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => waiter.settle(false), ms)
      const waiter = {
        need,
        settle: (isMet: boolean) => {
          clearTimeout(timer)
          this.#waiting.delete(waiter)
          resolve(isMet)
        },
      }
      this.#waiting.add(waiter)
    })
  }

  /** Lets those go whose need is met. */
  resolveWhere(isMet: (need: Need) => boolean): void {
    for (const waiter of [...this.#waiting]) if (isMet(waiter.need)) waiter.settle(true)
  }

  /** Lets all go without it. */
  cancelAll(): void {
    for (const waiter of [...this.#waiting]) waiter.settle(false)
  }
}
