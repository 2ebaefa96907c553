import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { Problem, tooManyRequests } from './problem.ts'

export type SharesOptions = {
  /** The maximum number of requests in work: per caller, and of all callers. */
  each: number
  all: number
  /** The shortest cooldown of a place after a request, in milliseconds. */
  minCooldownMs: number
  /** Milliseconds that a request waits for a place; null means without a limit. */
  waitMs: number | null
  /** False while this work delays no one: then places have no cooldown. */
  needsCooldown: () => boolean
}

/**
 * The cooldown as a multiple of the work's duration if at least `each` requests of the caller wait.
 * With four places this leaves half of the thread to others, even if the work runs on the thread.
 */
const CROWDED_FACTOR = 7

/** The longest cooldown of a place. */
const MAX_COOLDOWN_MS = 1_000

/** Seconds after which a refused caller may retry. */
const RETRY_AFTER_S = 2

type Waiter = { begin: () => void }
/** A caller's share; `taken` counts places that are in work or cooling down. */
type Share = { taken: number; waiting: Set<Waiter> }

/**
 * Divides the work on requests fairly among callers, so that no caller with many requests delays
 * the others. Each caller has a few places. After a request its place cools down for as long as the
 * work took, if `needsCooldown`; callers that send one request after the other don't notice. The
 * cooldown is longer while many requests of the caller wait, so that it leaves half of the time to
 * others. A request without a place waits, each caller's requests in order and callers in turns,
 * and is refused after `waitMs`.
 */
export class Shares {
  /** The callers with work or waiting requests; the one whose turn is next comes first. */
  readonly #shares = new Map<string, Share>()
  #inWork = 0

  constructor(private readonly options: SharesOptions) {}

  /**
   * Runs `work` once there is a place for it. Throws problem 429 if the caller's own places stay
   * taken, TemporarilyUnavailable if those of all callers do, and problem 400 `aborted` if the
   * client disconnects while it waits. The place is free `cooldownMs` after the work at the
   * earliest, if places cool down.
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

  /** Moves the caller behind all others, or removes it if it has no work or waiting requests. */
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
        'The service is busy with requests of other clients.',
      )
    }
    return tooManyRequests()
  }
}
