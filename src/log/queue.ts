import type { ApiKeys } from '../events/api-key-flush.ts'
import type { Declared, Details } from '../events/details.ts'
import { type Event, hashPayload } from '../events/event.ts'
import {
  type AttributedFlush,
  type Attributor,
  answerFlush,
  attributeFlush,
  encodeFlush,
  type FlushAnswer,
  type FlushRefusal,
  holdsEntries,
  type PostedFlush,
  resolveFlush,
} from '../events/flush.ts'

/** The outcome of appending a flush. */
export type AppendOutcome =
  /** It is in the log at this position; `replayed` if an earlier attempt appended it. */
  | { kind: 'appended'; replayed: boolean; shard: number; position: number; answer: FlushAnswer }
  /** Its idempotency key belongs to a flush with different entries. */
  | { kind: 'key_reused' }
  /** Its entries don't fit the catalog, or its own time is out of range. */
  | Refused
  /** Not accepted ('queue full', 'stopping'), or failed: then it may or may not be in the log. */
  | {
      kind: 'unavailable'
      reason: 'queue full' | 'stopping' | 'database' | 'archive' | 'worker ended'
    }

/** Why a flush is not appended, unless an earlier attempt was. */
export type Refused = FlushRefusal | { kind: 'counted_at_out_of_range'; earliest: number }

/** The look-ups in the catalog that an append needs. */
export type Lookups = Attributor & ApiKeys & Declared

/** A flush on its way into the log. The queue of its shard owns it until it is settled. */
export class PendingFlush {
  readonly outcome: Promise<AppendOutcome>
  readonly settle: (outcome: AppendOutcome) => void
  readonly fail: (error: unknown) => void
  /** Called when it is settled, before `outcome` resolves or rejects. */
  onSettled: () => void = () => {}

  readonly queuedAt = performance.now()
  attributed!: AttributedFlush
  /** Why it is refused, by this catalog; null if it isn't. */
  refusal: Refused | null = null
  payload = ''
  payloadSha256 = ''
  /** Positions of events in the archive that are known to have other idempotency keys. */
  readonly differing: number[] = []
  #answer!: FlushAnswer
  /** The approximate size when it was queued; counts toward the queue's bound. */
  bytes = 0
  #catalogPosition = Number.NaN
  #catalogSha256: string | null = null

  constructor(
    readonly posted: PostedFlush,
    readonly source: string,
    readonly idempotencyKey: string | null,
    /** Set if it is refused whatever the catalog. */
    private readonly outOfRange: Refused | null = null,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<AppendOutcome>()
    this.outcome = promise
    this.settle = (outcome) => {
      this.onSettled()
      resolve(outcome)
    }
    this.fail = (error) => {
      this.onSettled()
      reject(error)
    }
  }

  /** Makes the event's payload and the answer, unless they were made with this same catalog. */
  attributeWith(catalog: Lookups & { position: number; sha256: string | null }): void {
    const { position, sha256 } = catalog
    if (this.#catalogPosition === position && this.#catalogSha256 === sha256) return
    this.#catalogPosition = position
    this.#catalogSha256 = sha256
    const resolved = this.outOfRange ?? resolveFlush(this.posted, catalog)
    this.refusal = 'kind' in resolved ? resolved : null
    if ('kind' in resolved) return
    this.#encode(attributeFlush(resolved, catalog))
    // Not later, when it is settled: by then its entries have left the processor's caches.
    this.#answer = answerFlush(this.attributed)
  }

  /** Changes how its dimensions are counted. */
  countAs(details: Details): void {
    const { type, data } = this.attributed
    this.#encode({ type, data: { ...data, details } } as AttributedFlush)
  }

  #encode(attributed: AttributedFlush): void {
    this.attributed = attributed
    this.payload = encodeFlush(attributed)
    this.payloadSha256 = hashPayload(this.payload)
  }

  /** Settles it as appended, by this attempt, at a position. */
  settleAppended(shard: number, position: number): void {
    this.settle({ kind: 'appended', replayed: false, shard, position, answer: this.#answer })
  }
}

/** Returns the outcome of a retry whose first attempt is in the log at `position` as `event`. */
export function replayOutcome(
  first: { shard: number; position: number; event: Event },
  posted: PostedFlush,
  catalog: Lookups,
): AppendOutcome {
  const { shard, position, event } = first
  if (!holdsEntries(event, posted, catalog)) return { kind: 'key_reused' }
  return { kind: 'appended', replayed: true, shard, position, answer: answerFlush(event) }
}

/**
 * The flushes of one shard that wait for the next batch, in order of arrival; bounded in number and
 * in bytes of payload. The bounds include flushes in flight, until they are settled.
 */
export class FlushQueue {
  #waiting: PendingFlush[] = []
  #bytes = 0
  #length = 0

  constructor(readonly bounds: { flushes: number; bytes: number }) {}

  /** Flushes accepted but not settled yet. */
  get length(): number {
    return this.#length
  }

  /** Flushes that no batch has taken yet. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Queues a flush. Returns false if the queue is full. */
  add(flush: PendingFlush): boolean {
    const bytes = flush.payload.length + (flush.posted.hints?.bytes ?? 0)
    if (this.#length >= this.bounds.flushes) return false
    // A lone flush is accepted whatever its size: the body limit bounds it already.
    if (this.#length > 0 && this.#bytes + bytes > this.bounds.bytes) return false
    flush.bytes = bytes
    this.#waiting.push(flush)
    this.#length++
    this.#bytes += bytes
    return true
  }

  /** Takes the next batch: as many as fit into `bounds`, but at least one; empty if none waits. */
  take(bounds: { flushes: number; bytes: number }): PendingFlush[] {
    let bytes = 0
    let count = 0
    for (const flush of this.#waiting) {
      bytes += flush.bytes
      if (count > 0 && (count >= bounds.flushes || bytes > bounds.bytes)) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /**
   * Takes those that were queued at `through` (performance.now()) or before. The caller reads the
   * clock once: flushes that were compared with a later time than others could be lost.
   */
  takeLate(through: number): PendingFlush[] {
    // They wait in order of arrival.
    const punctual = this.#waiting.findIndex(({ queuedAt }) => queuedAt > through)
    return this.#waiting.splice(0, punctual < 0 ? this.#waiting.length : punctual)
  }

  /** Frees the room of a batch that is settled. */
  release(batch: PendingFlush[]): void {
    this.#length -= batch.length
    for (const { bytes } of batch) this.#bytes -= bytes
  }
}
