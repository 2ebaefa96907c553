/** A sleep that some reasons end early and others do not. Supports one sleeper at a time. */
export class Sleep<WakeReason> {
  #now: { wakeOn: readonly WakeReason[]; end: () => void } | null = null

  /** Sleeps for `ms` milliseconds, or until `wake` is called with one of these reasons. */
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
