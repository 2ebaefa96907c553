import type { LargeFlush } from '../../http/flushes/index.ts'
import type { Refusal } from '../../http/flushes/refusal.ts'
import type { AppendOutcome } from '../../log/queue.ts'
import type { EventPlace } from '../../log/visit.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { ServerAddress } from '../../platform/postgres/pool.ts'
import type { Content } from '../../read-model/projections/entry.ts'

/** The settings of the worker. */
export type WorkerSettings = {
  address: ServerAddress
  shards: number
  intervals: Pick<Intervals, 'database' | 'log'>
}

/** Why an event can't be folded: newer code may be able to, where it is unknown. */
export type Unfit = { unfit: string; isUnknown: boolean }

/** The jobs that the worker does. */
export type Jobs = {
  append: (flush: LargeFlush) => Promise<AppendOutcome | Refusal>
  /** Reads an event; its parts are given under this number. */
  openEvent: (place: EventPlace) => Promise<number | Unfit>
  /** The next part of its content; null after the last. */
  nextPart: (open: number) => Promise<Content | null>
  closeEvent: (open: number) => Promise<void>
  /** Finishes what was accepted and closes its connections. */
  stop: () => Promise<void>
}

export type WorkerRequest = {
  [Job in keyof Jobs]: { id: number; job: Job; args: Parameters<Jobs[Job]> }
}[keyof Jobs]

/** The messages that the worker sends without being asked. */
export type WorkerNotice =
  | { notice: 'appended'; shard: number; firstPosition: number; events: number }
  | { notice: 'refused'; shard: number; error: SentError }
  | { notice: 'taken'; shard: number }

export type WorkerAnswer = { id: number; value: unknown } | { id: number; error: SentError }

/** An error on its way between threads: cloning it would lose its class and its code. */
export type SentError = {
  message: string
  stack: string | undefined
  code: string | undefined
  /** Seconds after which it may be possible; null where that won't help. */
  unavailable: { seconds: number; detail: string | undefined } | null
}

export function sendError(error: unknown): SentError {
  const { message, stack, code, cause } = error as Error & { code?: string; cause?: unknown }
  const { seconds = 1, detail } = error as { seconds?: number; detail?: string }
  return {
    message: (cause as Error | undefined)?.message ?? message,
    ...{ stack, code },
    unavailable: isUnavailable(error) ? { seconds, detail } : null,
  }
}

/** The error that the other thread has met, of the same class as far as it matters. */
export function receiveError({ message, stack, code, unavailable }: SentError): Error {
  const error =
    unavailable && code === undefined
      ? new TemporarilyUnavailable(message, unavailable.seconds, unavailable.detail)
      : new Error(message)
  error.stack = stack ?? ''
  return Object.assign(error, code === undefined ? {} : { code })
}
