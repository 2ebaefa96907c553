import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { Problem, tooManyRequests } from './problem.ts'

export type SharesOptions = {
  /** Requests in work at once: of each caller, and of all of them. */
  each: number
  all: number
  /** Milliseconds that a place is kept free after a request, at least. */
  minCooldownMs: number
  /** Milliseconds that a request waits for a place; null: as long as it takes. */
  waitMs: number | null
  /** False while this work holds no one up: no place is kept free then. */
  needsCooldown: () => boolean
}

/**
 * As many times as long as the work took its place is kept free where as many wait as have places:
 * with four places half of the thread is left to others then, even where the work is the thread's.
 */
const CROWDED_FACTOR = 7

/** A place is kept free at most so long. */
const MAX_COOLDOWN_MS = 1_000

/** Seconds after which who found no place may come again. */
const RETRY_AFTER_S = 2

type Waiter = { begin: () => void }
/** `taken`: places in work, or kept free. */
type Share = { taken: number; waiting: Set<Waiter> }

/**
 * Shares out the work on requests among those who make them, so that nobody who asks for much at
 * once holds up the others. Each has a few places. When a request has been worked on, its place is
 * kept free for as long again, where that helps somebody: who asks for one thing after the other
 * never notices. It is kept free longer where many wait, so that who asks for much at once leaves
 * half of the time to others. Who finds no place waits, each caller's requests in their order and
 * the callers in turns; then they are refused.
 */
export class Shares {
  /** The callers with work or waiting requests; the one whose turn is next comes first. */
  readonly #shares = new Map<string, Share>()
  #inWork = 0

  constructor(private readonly options: SharesOptions) {}

  /**
   * Works on a request once there is a place for it. Throws problem 429 if the caller gets no place
   * in time, TemporarilyUnavailable if there is none for anyone, and `aborted` if the client
   * disconnects meanwhile. The place is freed once the work has ended, and after `restMs` at the
   * earliest.
   */
  async take<Value>(
    caller: string,
    work: () => Value | Promise<Value>,
    {
      request,
      cooldownMs = this.options.minCooldownMs,
    }: { request?: Request; cooldownMs?: number } = {},
  ): Promise<Value> {
    const share = this.#shareOf(caller)
    if (this.#hasPlace(share)) this.#occupy(caller, share)
    else await this.#wait(caller, share, request?.signal)
    const started = performance.now()
    try {
      return await work()
    } finally {
      this.#inWork--
      if (this.options.needsCooldown()) {
        this.#beginNext()
        const ms = Math.max(cooldownMs, this.#cooldownAfter(performance.now() - started, share))
        setTimeout(() => this.#leave(caller, share), Math.min(MAX_COOLDOWN_MS, ms)).unref()
      } else this.#leave(caller, share)
    }
  }

  #cooldownAfter(workedMs: number, { waiting }: Share): number {
    return workedMs * (waiting.size >= this.options.each ? CROWDED_FACTOR : 1)
  }

  #shareOf(caller: string): Share {
    let share = this.#shares.get(caller)
    if (share === undefined) {
      share = { taken: 0, waiting: new Set() }
      this.#shares.set(caller, share)
    }
    return share
  }

  #hasPlace(share: Share): boolean {
    return share.taken < this.options.each && this.#inWork < this.options.all
  }

  #occupy(caller: string, share: Share): void {
    share.taken++
    this.#inWork++
    this.#moveToEnd(caller, share)
  }

  #leave(caller: string, share: Share): void {
    share.taken--
    this.#moveToEnd(caller, share)
    this.#beginNext()
  }

  #beginNext(): void {
    for (const [caller, share] of this.#shares) {
      if (share.waiting.size === 0 || !this.#hasPlace(share)) continue
      const [waiter] = share.waiting
      share.waiting.delete(waiter!)
      this.#occupy(caller, share)
      waiter!.begin()
      return
    }
  }

  /** The caller's next turn comes after everybody else's; who has nothing here is forgotten. */
  #moveToEnd(caller: string, share: Share): void {
    this.#shares.delete(caller)
    if (share.taken > 0 || share.waiting.size > 0) this.#shares.set(caller, share)
  }

  #wait(caller: string, share: Share, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (reason: Error) => {
      end()
      share.waiting.delete(waiter)
      if (share.taken === 0 && share.waiting.size === 0) this.#shares.delete(caller)
      reject(reason)
    }
    const waiter = {
      begin: () => {
        end()
        resolve()
      },
    }
    const onAbort = () => giveUp(new Problem(400, 'aborted'))
    const { waitMs } = this.options
    const timer =
      waitMs === null ? undefined : setTimeout(() => giveUp(this.#refusal(share)), waitMs)
    share.waiting.add(waiter)
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort)
    return promise
  }

  #refusal(share: Share): Error {
    if (share.taken < this.options.each) {
      return new TemporarilyUnavailable(
        'busy',
        RETRY_AFTER_S,
        'Too many requests of others are under way.',
      )
    }
    return tooManyRequests()
  }
}
