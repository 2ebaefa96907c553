import { UnknownEvent } from '../events/event.ts'
import { holdsEntries, namesUnknownKey, type PostedFlush } from '../events/flush.ts'
import { within } from '../platform/async/deadline.ts'
import { INTERVALS, type Intervals } from '../platform/intervals.ts'
import { isUnavailable, TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { type AppendResult, callAppendBatch, probeAppend, UnconfirmedKeys } from './append-call.ts'
import type { AppendedBatch, AppenderOptions } from './appender-options.ts'
import { KeyConfirmations } from './confirm-keys.ts'
import { checkCountedAt } from './counted-at.ts'
import { settleRefused, settleReplayed } from './first-attempt.ts'
import { type AppendOutcome, FlushQueue, PendingFlush } from './queue.ts'

/**
 * Size of a batch: large enough that all waiting flushes share a commit's fsync, small enough that
 * the lock is held for milliseconds. `fewest` flushes are not worth a second commit.
 */
const BATCH = { fewest: 16, flushes: 1_000, bytes: 4 * 1024 * 1024 }

/**
 * Flushes of a shard waiting or in flight: a second of full load, and four bodies of the largest
 * size.
 */
const QUEUE = { flushes: 10_000, bytes: 64 * 1024 * 1024 }

/** Attempts at a batch whose catalog is stale, and the pause (ms) if a refresh finds no change. */
const STALE_TRIES = 400
const STALE_WAIT_MS = 5

/**
 * Appends flushes to one shard by natural group commit: flushes that arrive while a batch is in
 * flight are queued for the next ones. One batch is one round trip and one commit.
 *
 * Failed and not stored: the outcome is `unavailable`, and the client may retry. Failed but stored
 * (the answer was lost): the outcome is the same, and a retry finds its idempotency key in the log.
 */
export class ShardAppender {
  readonly #queue = new FlushQueue(QUEUE)
  /** Unsettled flushes by idempotency key: a concurrent retry waits for its first attempt. */
  readonly #keyed = new Map<string, PendingFlush>()
  /** Size of the batch that was sent last. */
  #lastBatch = 0
  #running: Promise<void> | null = null
  #unavailableAt = Number.NEGATIVE_INFINITY
  #isRefused = false
  #probing: Promise<boolean> | null = null
  readonly #confirmations: KeyConfirmations
  readonly #intervals: Intervals['log']

  constructor(private readonly options: AppenderOptions) {
    this.#intervals = options.intervals ?? INTERVALS.log
    this.#confirmations = new KeyConfirmations(options, (flush) => this.#enqueue(flush))
  }

  /** Flushes accepted but not settled yet. */
  get queueLength(): number {
    return this.#queue.length
  }

  /** True if a batch found the database or shard's node unavailable in the last `cooldownMs`. */
  get isUnavailable(): boolean {
    return performance.now() - this.#unavailableAt < this.#intervals.cooldownMs
  }

  /** True if the last batch failed. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /**
   * True if the database accepts flushes: it took the last batch, or would take one now. Concurrent
   * calls share one probe.
   */
  canTake(): Promise<boolean> {
    if (!this.#isRefused) return Promise.resolve(true)
    const { sql, shard } = this.options
    this.#probing ??= probeAppend(sql, shard)
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        this.#probing = null
      })
    return this.#probing
  }

  /** Queues a flush. The outcome is known once its batch has been committed or has failed. */
  append(
    posted: PostedFlush,
    source: string,
    idempotencyKey: string | null,
  ): Promise<AppendOutcome> {
    const key = idempotencyKey === null ? null : `${source}\n${idempotencyKey}`
    const first = key === null ? undefined : this.#keyed.get(key)
    if (first) return this.#awaitFirst(first, posted, source, idempotencyKey)

    const outOfRange = checkCountedAt(posted.countedAt, this.options.countedAtDays)
    const flush = new PendingFlush(posted, source, idempotencyKey, outOfRange)
    flush.attributeWith(this.options.catalog)
    if (!this.#enqueue(flush)) {
      return Promise.resolve({ kind: 'unavailable', reason: 'queue full' })
    }
    if (key !== null) {
      this.#keyed.set(key, flush)
      flush.onSettled = () => {
        if (this.#keyed.get(key) === flush) this.#keyed.delete(key)
      }
    }
    return flush.outcome
  }

  /** Returns false if the queue is full. */
  #enqueue(flush: PendingFlush): boolean {
    if (!this.#queue.add(flush)) return false
    this.#running ??= this.#run()
    return true
  }

  /** Waits until all accepted flushes are settled. */
  async drain(): Promise<void> {
    while (this.#running !== null || this.#confirmations.count > 0) {
      await this.#running
      await this.#confirmations.settled()
    }
  }

  /** Waits for an earlier attempt with the same key, then answers by it or appends after it. */
  async #awaitFirst(
    first: PendingFlush,
    posted: PostedFlush,
    source: string,
    idempotencyKey: string | null,
  ): Promise<AppendOutcome> {
    const outcome = await first.outcome
    if (outcome.kind === 'unavailable') return outcome
    // If it is refused by now, an attempt before it was appended, and answered.
    if (outcome.kind !== 'appended' || first.refusal !== null) {
      return this.append(posted, source, idempotencyKey)
    }
    const { catalog } = this.options
    if (!holdsEntries(first.attributed, posted, catalog)) return { kind: 'key_reused' }
    return { ...outcome, replayed: true }
  }

  /**
   * Sends one batch after the other until no flush waits. Two at a time were tried: they queue at
   * the shard's row, make batches smaller, and had a fifth less throughput at 64 connections.
   */
  async #run(): Promise<void> {
    // Let the requests that arrived in the same turn of the event loop queue first.
    await Promise.resolve()
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      try {
        await within(this.#leftMs(batch[0]!), this.#appendBatch(batch), noAnswer)
        this.#unavailableAt = Number.NEGATIVE_INFINITY
        if (this.#isRefused) this.options.onTaken?.(this.options.shard)
        this.#isRefused = false
      } catch (error) {
        if (isUnavailable(error)) this.#unavailableAt = performance.now()
        this.#isRefused = true
        this.options.onRefused?.(this.options.shard, error)
        const outcome: AppendOutcome = { kind: 'unavailable', reason: 'database' }
        for (const flush of batch) {
          // UnknownEvent: a newer release appended the first attempt. A retry may reach an upgraded
          // instance, which can answer it.
          if (isUnavailable(error) || error instanceof UnknownEvent) flush.settle(outcome)
          else flush.fail(error)
        }
      }
      this.#queue.release(batch)
    }
    this.#running = null
  }

  /** Milliseconds until a flush must be answered. */
  #leftMs({ queuedAt }: PendingFlush): number {
    return Math.max(0, queuedAt + this.#intervals.answerWithinMs - performance.now())
  }

  /**
   * Takes the next batch. Flushes that have waited too long behind unanswered batches are settled
   * as unavailable: they were never sent.
   */
  #take(): PendingFlush[] {
    const late = this.#queue.takeLate(performance.now() - this.#intervals.answerWithinMs)
    for (const flush of late) flush.settle({ kind: 'unavailable', reason: 'database' })
    this.#queue.release(late)
    return this.#takeBatch()
  }

  /**
   * A batch is no larger than the mean of the last one and of the waiting flushes. Otherwise all
   * clients that wait for their answers would be in one batch, and then all be served. With half of
   * them in each batch, the database and this thread work at the same time (1.14 times the
   * throughput at 256 connections).
   */
  #takeBatch(): PendingFlush[] {
    const mean = Math.ceil((this.#lastBatch + this.#queue.waiting) / 2)
    const flushes = Math.min(Math.max(mean, BATCH.fewest), BATCH.flushes)
    const batch = this.#queue.take({ flushes, bytes: BATCH.bytes })
    this.#lastBatch = batch.length
    return batch
  }

  async #appendBatch(taken: PendingFlush[]): Promise<void> {
    const { sql, shard, catalog, registerUnknown, appendBatch = callAppendBatch } = this.options
    let batch = taken
    for (let tries = 0; tries < STALE_TRIES; tries++) {
      const { position, sha256 } = catalog
      const isStale = () => catalog.position !== position || catalog.sha256 !== sha256
      for (const flush of batch) flush.attributeWith(catalog)
      const refused = batch.filter(({ refusal }) => refusal !== null)
      if (refused.length > 0) {
        await this.options.refreshCatalog()
        // They may fit a newer catalog.
        if (isStale()) continue
        await settleRefused(this.options, refused)
        batch = batch.filter(({ refusal }) => refusal === null)
        if (batch.length === 0) return
      }
      if (registerUnknown !== undefined) {
        const unknown = batch.filter(({ attributed }) => namesUnknownKey(attributed))
        if (unknown.length > 0) await registerUnknown(shard, unknown)
        if (isStale()) continue
      }
      const detailed = batch.filter(({ attributed }) => attributed.data.details !== undefined)
      if (detailed.length > 0) await this.options.limitDimensions?.(shard, detailed)
      let row: AppendResult
      try {
        row = await appendBatch(sql, shard, batch, { position, sha256 })
      } catch (error) {
        if (!(error instanceof UnconfirmedKeys)) throw error
        // The others don't wait for the archive.
        for (const [ordinal, at] of error.hits) this.#confirmations.add(batch[ordinal - 1]!, at)
        batch = batch.filter((_, i) => !error.hits.has(i + 1))
        if (batch.length === 0) return
        continue
      }
      if (row.firstPosition === null) {
        await this.options.refreshCatalog()
        // Nothing new to fold: the change isn't visible in shard 0's log yet (a commit on several
        // nodes).
        if (!isStale()) await Bun.sleep(STALE_WAIT_MS)
        continue
      }
      const replayed = new Map(
        row.replayed.map(({ ordinal, position: at }) => [batch[ordinal - 1]!, at]),
      )
      const appended = replayed.size === 0 ? batch : batch.filter((flush) => !replayed.has(flush))
      if (appended.length > 0) this.#settleAppended(appended, row)
      if (replayed.size > 0) await settleReplayed(this.options, replayed)
      return
    }
    throw new TemporarilyUnavailable('catalog busy')
  }

  #settleAppended(
    appended: PendingFlush[],
    place: Pick<AppendedBatch, 'firstPosition' | 'recordedAt' | 'previous'>,
  ): void {
    const { shard, onAppended } = this.options
    const { firstPosition, recordedAt, previous } = place
    for (const [i, flush] of appended.entries()) flush.settleAppended(shard, firstPosition + i)
    const events = appended.map((flush) => flush.attributed)
    const sources = appended.map((flush) => flush.source)
    const payloadSha256s = appended.map((flush) => flush.payloadSha256)
    onAppended(shard, { firstPosition, recordedAt, events, sources, payloadSha256s, previous })
  }
}

/** There was no answer in time: the batch may or may not be in the log. */
const noAnswer = () => new TemporarilyUnavailable('no answer')
