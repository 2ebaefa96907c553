/** The workers of services in this process, and what they are sent: held back where a test wants. */
export type Workers = {
  /** Holds back what is sent from now on, until `release`. */
  hold(): void
  /** How many flushes are held back. */
  readonly held: number
  release(): void
  /** Ends all of them at once, as a crash would. */
  kill(): void
  restore(): void
}

/** Real workers that can be held up and killed, in place of those that a service would start. */
export function watchWorkers(): Workers {
  const Real = globalThis.Worker
  const started: Worker[] = []
  let held: (() => void)[] = []
  let isHolding = false
  class WatchedWorker extends Real {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args)
      started.push(this)
    }

    override postMessage(message: unknown, transfer: ArrayBuffer[] | object = []): void {
      const send = () => super.postMessage(message, transfer as ArrayBuffer[])
      if (isHolding && (message as { job?: string }).job === 'append') held.push(send)
      else send()
    }
  }
  globalThis.Worker = WatchedWorker as typeof Worker
  return {
    hold: () => {
      isHolding = true
    },
    get held() {
      return held.length
    },
    release: () => {
      isHolding = false
      for (const send of held) send()
      held = []
    },
    kill: () => {
      for (const worker of started.splice(0)) worker.terminate()
      held = []
      isHolding = false
    },
    restore: () => {
      globalThis.Worker = Real
    },
  }
}
