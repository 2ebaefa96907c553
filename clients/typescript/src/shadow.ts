import type { Flush } from './flush.ts'
import { post, type Target } from './http.ts'

const MAX_IN_FLIGHT = 4

/** A second service that gets each flush once. Its answers and failures never matter. */
export class Shadow {
  readonly #target: Target
  readonly #timeoutMs: number
  #inFlight = 0

  constructor(target: Target, timeoutMs: number) {
    this.#target = target
    this.#timeoutMs = timeoutMs
  }

  /** Posts a flush, or skips it if too many are in progress. Never throws. */
  post(flush: Flush): void {
    if (this.#inFlight >= MAX_IN_FLIGHT) return
    this.#inFlight++
    post(this.#target, flush, flush.body, AbortSignal.timeout(this.#timeoutMs))
      .catch(() => {})
      .finally(() => this.#inFlight--)
  }
}
