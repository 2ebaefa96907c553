import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { Problem, tooManyRequests } from './problem.ts'

export type FairLimiterOptions = {
  /** The maximum number of requests in work: per caller, and of all callers. */
  perCaller: number
  total: number
  /** The shortest cooldown of a slot after a request, in milliseconds. */
  minCooldownMs: number
  /** Milliseconds that a request waits for a slot; null means without a limit. */
  waitMs: number | null
  /** False while this work delays no one: then slots have no cooldown. */
  needsCooldown: () => boolean
}

/**
 * The cooldown as a multiple of the work's duration if at least `perCaller` requests of the caller
 * wait. With four slots this leaves half of the thread to others, even if the work runs on the
 * thread.
 */
const CROWDED_FACTOR = 7

/** The longest cooldown of a slot. */
const MAX_COOLDOWN_MS = 1_000

/** Seconds after which a refused caller may retry. */
const RETRY_AFTER_S = 2

type Waiter = { slots: number; begin: () => void }
/** `slots` counts those of the caller that are in work or cooling down. */
type CallerState = { slots: number; waiting: Set<Waiter> }

/**
 * Divides the work on requests fairly among callers, so that no caller with many requests delays
 * the others. Each caller has a few slots. After a request its slot cools down for as long as the
 * work took, if `needsCooldown`; callers that send one request after the other don't notice. The
 * cooldown is longer while many requests of the caller wait, so that it leaves half of the time to
 * others. A request without a slot waits, each caller's requests in order and callers in turns,
 * and is refused after `waitMs`.
 */
export class FairLimiter {
  /** The callers with work or waiting requests; the one whose turn is next comes first. */
  readonly #callers = new Map<string, CallerState>()
  #inWork = 0

  constructor(private readonly options: FairLimiterOptions) {}

  /**
   * Runs `work` once there is a slot for it. Throws problem 429 if the caller's own slots stay
   * taken, TemporarilyUnavailable if those of all callers do, and problem 400 `aborted` if the
   * client disconnects while it waits. The slot is free `cooldownMs` after the work at the
   * earliest, if slots cool down. Larger work takes several slots, the last ones perhaps beyond
   * those that the caller has.
   */
  async run<Value>(
    caller: string,
    work: () => Value | Promise<Value>,
    {
      request,
      cooldownMs = this.options.minCooldownMs,
      slots = 1,
    }: { request?: Request; cooldownMs?: number; slots?: number } = {},
  ): Promise<Value> {
    const state = this.#stateOf(caller)
    if (this.#hasSlot(state)) this.#occupy(caller, state, slots)
    else await this.#wait(caller, state, slots, request?.signal)
    const started = performance.now()
    try {
      return await work()
    } finally {
      this.#inWork--
      if (this.options.needsCooldown()) {
        this.#beginWaiting()
        const ms = Math.max(cooldownMs, this.#cooldownAfter(performance.now() - started, state))
        setTimeout(() => this.#leave(caller, state, slots), Math.min(MAX_COOLDOWN_MS, ms)).unref()
      } else this.#leave(caller, state, slots)
    }
  }

  #cooldownAfter(workedMs: number, { waiting }: CallerState): number {
    return workedMs * (waiting.size >= this.options.perCaller ? CROWDED_FACTOR : 1)
  }

  #stateOf(caller: string): CallerState {
    let state = this.#callers.get(caller)
    if (state === undefined) {
      state = { slots: 0, waiting: new Set() }
      this.#callers.set(caller, state)
    }
    return state
  }

  #hasSlot(state: CallerState): boolean {
    return state.slots < this.options.perCaller && this.#inWork < this.options.total
  }

  #occupy(caller: string, state: CallerState, slots: number): void {
    state.slots += slots
    this.#inWork++
    this.#moveToEnd(caller, state)
  }

  #leave(caller: string, state: CallerState, slots: number): void {
    state.slots -= slots
    this.#moveToEnd(caller, state)
    this.#beginWaiting()
  }

  /** Begins all that has a slot now, callers in turns: who begins moves behind the others. */
  #beginWaiting(): void {
    for (const [caller, state] of this.#callers) {
      if (state.waiting.size === 0 || !this.#hasSlot(state)) continue
      const [waiter] = state.waiting
      state.waiting.delete(waiter!)
      this.#occupy(caller, state, waiter!.slots)
      waiter!.begin()
    }
  }

  /** Moves the caller behind all others, or removes it if it has no work or waiting requests. */
  #moveToEnd(caller: string, state: CallerState): void {
    this.#callers.delete(caller)
    if (state.slots > 0 || state.waiting.size > 0) this.#callers.set(caller, state)
  }

  #wait(
    caller: string,
    state: CallerState,
    slots: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (reason: Error) => {
      end()
      state.waiting.delete(waiter)
      if (state.slots === 0 && state.waiting.size === 0) this.#callers.delete(caller)
      reject(reason)
    }
    const waiter = {
      slots,
      begin: () => {
        end()
        resolve()
      },
    }
    const onAbort = () => giveUp(new Problem(400, 'aborted'))
    const { waitMs } = this.options
    const timer =
      waitMs === null ? undefined : setTimeout(() => giveUp(this.#refusal(state)), waitMs)
    state.waiting.add(waiter)
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort)
    return promise
  }

  #refusal(state: CallerState): Error {
    if (state.slots < this.options.perCaller) {
      return new TemporarilyUnavailable(
        'busy',
        RETRY_AFTER_S,
        'The service is busy with requests of other clients.',
      )
    }
    return tooManyRequests()
  }
}
