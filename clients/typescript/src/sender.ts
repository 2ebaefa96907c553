import { clearTimeout, setTimeout } from 'node:timers'
import { type Flush, split, withoutCountedAt } from './flush.ts'
import { type Answer, post, type Target } from './http.ts'
import type { Counters } from './metrics.ts'
import { type Backoff, classify, delayMs, readError, readRetryAfterMs } from './outcome.ts'
import { sleep } from './sleep.ts'
import type { Reason, Spool } from './spool.ts'
import type { Waiting } from './waiting.ts'

export type SenderOptions = {
  target: Target
  timeoutMs: number
  backoff: Backoff
  onError: (error: unknown) => void
  onRejected: (rejected: { file: string } & Reason) => void
  /** Called with the reason when the client pauses, and with null when it goes on. */
  onPause: (reason: Reason | null) => void
}

/** What to do after an attempt: go on, or wait before the same flush is tried again. */
type Next = { retryAfterMs: number } | 'go on'

/** Sends the flushes of a spool, one at a time, until it is stopped. */
export class Sender {
  readonly #spool: Spool
  readonly #counters: Counters
  readonly #options: SenderOptions
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>
  /** Ends the wait for a flush, if the sender waits for one. */
  #wake: () => void = () => {}
  /** Waits for an empty spool. */
  #emptied: (() => void)[] = []

  constructor(spool: Spool, counters: Counters, options: SenderOptions) {
    this.#spool = spool
    this.#counters = counters
    this.#options = options
    this.#done = this.#run()
  }

  /** Tells the sender that the spool has a new flush. */
  wake(): void {
    this.#wake()
  }

  /** Waits until the spool is empty, or the sender is stopped. */
  async drained(): Promise<void> {
    if (this.#spool.size === 0 || this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => this.#emptied.push(resolve))
  }

  /** Abandons the attempt in progress. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    await this.#done
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      const next = await this.#sendNext().catch((error): Next | 'idle' => {
        this.#options.onError(error)
        return { retryAfterMs: 0 }
      })
      if (next === 'idle') await this.#idle()
      else if (next === 'go on') failures = 0
      else {
        const { backoff } = this.#options
        await sleep(
          delayMs(failures++, Math.random(), next.retryAfterMs, backoff),
          this.#stopping.signal,
        )
      }
    }
    for (const resolve of this.#emptied.splice(0)) resolve()
  }

  async #sendNext(): Promise<Next | 'idle'> {
    const begun = await this.#spool.begin()
    if (begun === null) return 'idle'
    const { waiting, flush, isCertain } = begun
    const answer = await this.#post(flush, flush.body)
    if (answer === null) return { retryAfterMs: 0 }
    const outcome = classify(answer.status, answer.body)
    const body = outcome === 'invalid time' ? withoutCountedAt(flush) : null
    if (body === null) return this.#settle(waiting, flush, answer, isCertain)
    this.#counters.attempts.refused++
    const other = await this.#post(flush, body)
    if (other === null) return { retryAfterMs: 0 }
    return this.#settle(waiting, flush, other, isCertain)
  }

  /** Makes an attempt; null if there was no answer. */
  async #post(flush: Flush, body: string): Promise<Answer | null> {
    const { target, timeoutMs, onError } = this.#options
    const attempt = new AbortController()
    const abort = () => attempt.abort(new Error(`No answer within ${timeoutMs} ms.`))
    const timer = setTimeout(abort, timeoutMs)
    this.#stopping.signal.addEventListener('abort', abort)
    try {
      return await post(target, flush, body, attempt.signal)
    } catch (error) {
      this.#counters.attempts.unknown++
      if (!this.#stopping.signal.aborted) onError(error)
      return null
    } finally {
      clearTimeout(timer)
      this.#stopping.signal.removeEventListener('abort', abort)
    }
  }

  /** Does with a flush what the answer to its attempt requires. */
  async #settle(waiting: Waiting, flush: Flush, answer: Answer, isCertain: boolean): Promise<Next> {
    const outcome = classify(answer.status, answer.body)
    const counted = outcome === 'accepted' || outcome === 'unknown' ? outcome : 'refused'
    this.#counters.attempts[counted]++
    const reason = { status: answer.status, ...readError(answer.body) }
    if (outcome !== 'paused' && outcome !== 'unknown') this.#resume()
    switch (outcome) {
      case 'accepted':
        await this.#spool.remove(waiting)
        this.#counters.accepted++
        return 'go on'
      case 'unknown':
        return { retryAfterMs: readRetryAfterMs(answer.retryAfter, Date.now()) }
      case 'too large': {
        const parts = isCertain ? split(waiting.name, flush) : null
        if (parts === null) return this.#reject(waiting, reason)
        await this.#spool.split(waiting, parts)
        this.#counters.split++
        return 'go on'
      }
      case 'invalid':
      case 'invalid time':
        return this.#reject(waiting, reason)
      case 'paused':
        if (isCertain) await this.#spool.putBack(waiting)
        this.#pause(reason)
        return { retryAfterMs: readRetryAfterMs(answer.retryAfter, Date.now()) }
      default:
        return outcome satisfies never
    }
  }

  async #reject(waiting: Waiting, reason: Reason): Promise<Next> {
    await this.#spool.reject(waiting, reason)
    this.#counters.rejected++
    this.#options.onRejected({ file: waiting.file, ...reason })
    return 'go on'
  }

  #pause(reason: Reason): void {
    if (this.#counters.isPaused) return
    this.#counters.isPaused = true
    this.#options.onPause(reason)
  }

  #resume(): void {
    if (!this.#counters.isPaused) return
    this.#counters.isPaused = false
    this.#options.onPause(null)
  }

  async #idle(): Promise<void> {
    for (const resolve of this.#emptied.splice(0)) resolve()
    if (this.#spool.size > 0 || this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = () => {}
  }
}
