/** A sleep that some wakers end before its time, and others don't. One at a time. */
export class Sleep<WakeReason> {
  #now: { wakeOn: readonly WakeReason[]; end: () => void } | null = null

  /** Sleeps so many milliseconds, or until one of these wakes it. */
  async for(ms: number, wakeOn: readonly WakeReason[]): Promise<void> {
    if (ms <= 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      const end = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#now = { wakeOn, end }
    })
    this.#now = null
  }

  wake(reason: WakeReason): void {
    if (this.#now?.wakeOn.includes(reason)) this.#now.end()
  }
}
