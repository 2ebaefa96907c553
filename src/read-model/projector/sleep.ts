/** A sleep that some wakers end before its time, and others don't. One at a time. */
export class Sleep<Waker> {
  #now: { endsOn: readonly Waker[]; end: () => void } | null = null

  /** Sleeps so many milliseconds, or until one of these wakes it. */
  async for(ms: number, endsOn: readonly Waker[]): Promise<void> {
    if (ms <= 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      const end = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#now = { endsOn, end }
    })
    this.#now = null
  }

  wake(waker: Waker): void {
    if (this.#now?.endsOn.includes(waker)) this.#now.end()
  }
}
