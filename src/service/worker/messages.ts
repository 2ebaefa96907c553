import type { Adopted } from '../../bookkeeping/adoption/adoptions.ts'
import type { KeysToAdopt } from '../../bookkeeping/adoption/decide.ts'
import type { ActRefusal, PostedAct, RecordedAct } from '../../bookkeeping/posted-act.ts'
import type { Positions } from '../../events/positions.ts'
import type { ActFault } from '../../http/bookkeeping/model.ts'
import type { ActOutcome, ActRequest } from '../../http/bookkeeping/record.ts'
import type { PutOutcome } from '../../http/catalog/put.ts'
import type { LargeFlush } from '../../http/flushes/index.ts'
import type { Refusal } from '../../http/flushes/refusal.ts'
import type { AdoptionOutcome } from '../../http/unknown-keys/put.ts'
import type { AppendOutcome } from '../../log/queue.ts'
import type { EventPlace } from '../../log/visit.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { ServerAddress } from '../../platform/postgres/pool.ts'
import type { Content } from '../../read-model/projections/entry.ts'
import type { ArchiveOptions } from '../../retention/open.ts'

/** The first message to the worker: its settings. */
export type WorkerSettings = {
  address: ServerAddress
  shards: number
  intervals: Pick<Intervals, 'database' | 'log' | 'adoption'>
  /** The most unknown keys to register on a day; null if none is registered. */
  registerPerDay: number | null
  /** How many days ago a flush may have been counted; the default if absent. */
  countedAtDays?: number
  /** How many values of a dimension a shard counts in a day; the default if absent. */
  dimensionValues?: number | undefined
  /** The size of a segment of the log; the default if absent. */
  segmentBytes?: number | undefined
  /** Where old segments are; none if absent. */
  archive?: ArchiveOptions
}

/** Why an event can't be folded. If it is unknown, a newer release may be able to fold it. */
export type Unfit = { unfit: string; isUnknown: boolean }

/** The jobs that the worker runs. */
export type Jobs = {
  append: (flush: LargeFlush) => Promise<AppendOutcome | Refusal>
  /** Parses the body of PUT /admin/catalog and appends the change. */
  changeCatalog: (body: Uint8Array, source: string) => Promise<PutOutcome>
  /** Records an act with a large body. */
  recordBody: (act: ActRequest, body: Uint8Array) => Promise<ActOutcome | ActFault>
  /** Records an act that takes a large event. */
  record: (
    posted: PostedAct,
    source: string,
    idempotencyKey: string | null,
  ) => Promise<RecordedAct | ActRefusal>
  /** Adds the keys of a large body to the catalog, and adopts them. */
  adoptBody: (body: Uint8Array, source: string) => Promise<AdoptionOutcome>
  /** Adopts keys of the catalog. */
  adopt: (keys: KeysToAdopt, source: string) => Promise<Adopted | 'too large' | null>
  /** Makes adoptions stop reading the log. */
  stopReading: () => Promise<void>
  /** Answers the notice `awaiting`. */
  reached: (id: number, isReached: boolean) => Promise<void>
  /** Reads an event, and returns a number under which its parts can be requested. */
  openEvent: (place: EventPlace) => Promise<number | Unfit>
  /** Returns the next part of an event's content; null after the last. */
  nextPart: (open: number) => Promise<Content | null>
  closeEvent: (open: number) => Promise<void>
  /** Finishes what was accepted and closes its connections. */
  stop: () => Promise<void>
}

/** A request to the worker: one of its jobs. */
export type WorkerRequest = {
  [Job in keyof Jobs]: { id: number; job: Job; args: Parameters<Jobs[Job]> }
}[keyof Jobs]

/** Messages that the worker sends unrequested. */
export type WorkerNotice =
  | { notice: 'appended'; shard: number; firstPosition: number; events: number }
  | { notice: 'refused'; shard: number; error: SentError }
  | { notice: 'taken'; shard: number }
  | { notice: 'limited'; keys: number }
  | { notice: 'others'; values: number }
  | { notice: 'awaiting'; id: number; positions: Positions; timeoutMs: number }
  | { notice: 'lost'; reflected: Positions }

/** The worker's answer to a request. */
export type WorkerAnswer = { id: number; value: unknown } | { id: number; error: SentError }

/** An error as sent between threads: cloning an Error would lose its class and its code. */
export type SentError = {
  message: string
  stack: string | undefined
  code: string | undefined
  /** Set if the database is unavailable for a time: when to retry, in seconds, and the detail. */
  unavailable: { seconds: number; detail: string | undefined } | null
}

/** Converts an error for sending; see `receiveError`. */
export function sendError(error: unknown): SentError {
  const { message, stack, code, cause } = error as Error & { code?: string; cause?: unknown }
  const { seconds = 1, detail } = error as { seconds?: number; detail?: string }
  return {
    message: (cause as Error | undefined)?.message ?? message,
    stack,
    code,
    unavailable: isUnavailable(error) ? { seconds, detail } : null,
  }
}

/** Recreates the other thread's error, with the same class as far as it matters. */
export function receiveError({ message, stack, code, unavailable }: SentError): Error {
  const error =
    unavailable && code === undefined
      ? new TemporarilyUnavailable(message, unavailable.seconds, unavailable.detail)
      : new Error(message)
  error.stack = stack ?? ''
  return Object.assign(error, code === undefined ? {} : { code })
}
