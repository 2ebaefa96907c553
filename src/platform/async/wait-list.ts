/** Callers that wait for a need to be met, each with its own timeout. */
export class WaitList<Need> {
  readonly #waiting = new Set<{ need: Need; settle: (isMet: boolean) => void }>()

  get size(): number {
    return this.#waiting.size
  }

  /** The needs that callers are waiting for. */
  get pending(): Need[] {
    return [...this.#waiting].map(({ need }) => need)
  }

  /** Waits until the need is met. Returns false after `ms`, or if all waits are cancelled. */
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

  /** Ends the waits whose need is met, with true. */
  resolveWhere(isMet: (need: Need) => boolean): void {
    for (const waiter of [...this.#waiting]) if (isMet(waiter.need)) waiter.settle(true)
  }

  /** Ends all waits, with false. */
  cancelAll(): void {
    for (const waiter of [...this.#waiting]) waiter.settle(false)
  }
}
