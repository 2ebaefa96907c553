/** The workers of services in this process, whose messages a test can hold back. */
export type Workers = {
  /** Holds back the flushes, changes of the catalog and acts sent from now on, until `release`. */
  hold(): void
  /** The number held back. */
  readonly held: number
  release(): void
  /** Ends all workers at once, as a crash would. */
  kill(): void
  restore(): void
}

const HELD = ['append', 'changeCatalog', 'recordBody', 'record', 'adoptBody', 'adopt']

/** Replaces the workers that services start by real ones that can be held up and killed. */
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
      const { job = '' } = message as { job?: string }
      const send = () => super.postMessage(message, transfer as ArrayBuffer[])
      if (isHolding && HELD.includes(job)) held.push(send)
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
