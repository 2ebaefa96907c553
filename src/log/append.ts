import { decodeEvent, UnknownEvent } from '../events/event.ts'
import {
  type AttributedFlush,
  type Attributor,
  holdsEntries,
  type PostedFlush,
} from '../events/flush.ts'
import { INTERVALS, type Intervals } from '../platform/intervals.ts'
import { isUnavailable, TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { callAppendBatch, probeAppend } from './append-call.ts'
import { type AppendOutcome, FlushQueue, PendingFlush, replayOutcome } from './queue.ts'

/**
 * One batch: large enough that a commit's fsync is shared by all who wait, small enough that the
 * lock is held for milliseconds. As many as `fewest` are not worth a second commit.
 */
const BATCH = { fewest: 16, flushes: 1_000, bytes: 4 * 1024 * 1024 }

/**
 * What waits or is on its way, a shard: a second of full load, and four bodies of the largest size.
 */
const QUEUE = { flushes: 10_000, bytes: 64 * 1024 * 1024 }

/** How often a batch is tried whose catalog is stale, and the milliseconds between two tries. */
const STALE_TRIES = 400
const STALE_WAIT_MS = 5

export type AppenderOptions = {
  shard: number
  sql: Sql
  /** What flushes are resolved with. */
  catalog: Attributor & { readonly position: number; readonly sha256: string | null }
  /** Folds into `catalog` what was committed since. */
  refreshCatalog: () => Promise<void>
  /** Called after a commit that made the shard grow. */
  onAppended: (shard: number, batch: AppendedBatch) => void
  /** Told of each batch that the database didn't take, and of the next that it took. */
  onRefused?: (shard: number, error: unknown) => void
  onTaken?: (shard: number) => void
  /** INTERVALS by default. */
  intervals?: Intervals['log']
}

/**
 * What one commit brought: events at consecutive positions, the hashes of their payloads in hex,
 * and their time (RFC 3339); and the identity of the event before them, null where there is none.
 */
export type AppendedBatch = {
  firstPosition: number
  recordedAt: string
  events: AttributedFlush[]
  payloadSha256s: string[]
  previous: string | null
}

/**
 * Appends flushes to one shard by natural group commit: while a batch is on its way, arriving
 * flushes queue, and the next batch takes them all. One batch is one round trip and one commit.
 *
 * Failed and not stored: the flush is unavailable, and the client may try again. Failed but stored
 * (the answer was lost): the same to the client, whose next try finds its idempotency key in the
 * log.
 */
export class ShardAppender {
  readonly #queue = new FlushQueue(QUEUE)
  /** Flushes with an idempotency key on their way: a second try at once waits for its first. */
  readonly #keyed = new Map<string, PendingFlush>()
  /** Flushes in the batch sent last. */
  #lastBatch = 0
  #running: Promise<void> | null = null
  #unavailableAt = Number.NEGATIVE_INFINITY
  #isRefused = false
  #probing: Promise<boolean> | null = null
  readonly #intervals: Intervals['log']

  constructor(private readonly options: AppenderOptions) {
    this.#intervals = options.intervals ?? INTERVALS.log
  }

  /** Flushes accepted and not settled yet. */
  get queueLength(): number {
    return this.#queue.length
  }

  /** True where the last batch found the database away, or the node of this shard, a moment ago. */
  get isUnavailable(): boolean {
    return performance.now() - this.#unavailableAt < this.#intervals.cooldownMs
  }

  /** True where the database didn't take the last batch. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /**
   * True where the database takes flushes: it took the last ones, or would take one now. Asked by
   * many at once it looks once.
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

  /** Queues a flush; the outcome comes after its batch is committed. */
  append(
    posted: PostedFlush,
    source: string,
    idempotencyKey: string | null,
  ): Promise<AppendOutcome> {
    const key = idempotencyKey === null ? null : `${source}\n${idempotencyKey}`
    const first = key === null ? undefined : this.#keyed.get(key)
    if (first) return this.#followFirst(first, posted, source, idempotencyKey)

    const flush = new PendingFlush(posted, source, idempotencyKey)
    flush.attributeWith(this.options.catalog)
    if (!this.#queue.add(flush)) {
      return Promise.resolve({ kind: 'unavailable', reason: 'queue full' })
    }
    if (key !== null) {
      this.#keyed.set(key, flush)
      flush.onSettled = () => {
        if (this.#keyed.get(key) === flush) this.#keyed.delete(key)
      }
    }
    this.#running ??= this.#run()
    return flush.outcome
  }

  /** Waits until all that was accepted is settled. */
  async drain(): Promise<void> {
    await this.#running
  }

  /** A try that meets another of its key on the way: answered by it, or appended after it. */
  async #followFirst(
    first: PendingFlush,
    posted: PostedFlush,
    source: string,
    idempotencyKey: string | null,
  ): Promise<AppendOutcome> {
    const outcome = await first.outcome
    if (outcome.kind === 'unavailable') return outcome
    if (outcome.kind === 'key_reused') return this.append(posted, source, idempotencyKey)
    if (!holdsEntries(first.attributed, posted)) return { kind: 'key_reused' }
    return { ...outcome, replayed: true }
  }

  /**
   * Sends one batch after the other until nothing waits. Two at a time were tried: they queue at
   * the shard's row, make smaller batches, and took in a fifth less at 64 connections.
   */
  async #run(): Promise<void> {
    // Let the requests that arrived in the same turn of the event loop queue first.
    await Promise.resolve()
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      try {
        await within(this.#leftMs(batch[0]!), this.#appendBatch(batch))
        this.#unavailableAt = Number.NEGATIVE_INFINITY
        if (this.#isRefused) this.options.onTaken?.(this.options.shard)
        this.#isRefused = false
      } catch (error) {
        if (isUnavailable(error)) this.#unavailableAt = performance.now()
        this.#isRefused = true
        this.options.onRefused?.(this.options.shard, error)
        const outcome: AppendOutcome = { kind: 'unavailable', reason: 'database' }
        for (const flush of batch) {
          // Unknown: a first try that newer code has appended, whose instances can answer it.
          if (isUnavailable(error) || error instanceof UnknownEvent) flush.settle(outcome)
          else flush.fail(error)
        }
      }
      this.#queue.release(batch)
    }
    this.#running = null
  }

  /** Milliseconds until a flush has to be answered. */
  #leftMs({ queuedAt }: PendingFlush): number {
    return Math.max(0, queuedAt + this.#intervals.answerWithinMs - performance.now())
  }

  /**
   * The next batch. Flushes that have waited too long behind batches that weren't answered are
   * unavailable: they were never sent.
   */
  #take(): PendingFlush[] {
    for (;;) {
      const batch = this.#takeBatch()
      // They are in the order in which they came.
      const isLate = batch.length > 0 && this.#leftMs(batch[0]!) <= 0
      if (!isLate) return batch
      const late = batch.filter((flush) => this.#leftMs(flush) <= 0)
      const rest = batch.slice(late.length)
      for (const flush of late) flush.settle({ kind: 'unavailable', reason: 'database' })
      this.#queue.release(late)
      if (rest.length > 0) return rest
    }
  }

  /**
   * A batch is no larger than the mean of the last one and of what waits. Clients that wait for
   * their answers would otherwise all be in one batch, then all be served: half of them in each,
   * the database and this thread work at once (1.14 times the flushes at 256 connections).
   */
  #takeBatch(): PendingFlush[] {
    const mean = Math.ceil((this.#lastBatch + this.#queue.waiting) / 2)
    const flushes = Math.min(Math.max(mean, BATCH.fewest), BATCH.flushes)
    const batch = this.#queue.take({ flushes, bytes: BATCH.bytes })
    this.#lastBatch = batch.length
    return batch
  }

  async #appendBatch(batch: PendingFlush[]): Promise<void> {
    const { sql, shard, catalog } = this.options
    for (let tries = 0; tries < STALE_TRIES; tries++) {
      const { position, sha256 } = catalog
      for (const flush of batch) flush.attributeWith(catalog)
      const row = await callAppendBatch(sql, shard, batch, { position, sha256 })
      if (row.firstPosition === null) {
        await this.options.refreshCatalog()
        // Nothing new to fold: the change is on its way to shard 0's log (a commit on several
        // nodes).
        if (catalog.position === position && catalog.sha256 === sha256) {
          await Bun.sleep(STALE_WAIT_MS)
        }
        continue
      }
      const replayed = new Map(
        row.replayed.map(({ ordinal, position: at }) => [batch[ordinal - 1]!, at]),
      )
      const appended = replayed.size === 0 ? batch : batch.filter((flush) => !replayed.has(flush))
      if (appended.length > 0) this.#settleAppended(appended, row)
      if (replayed.size > 0) await this.#settleReplayed(replayed)
      return
    }
    throw new TemporarilyUnavailable('catalog busy')
  }

  #settleAppended(
    appended: PendingFlush[],
    {
      firstPosition,
      recordedAt,
      previous,
    }: Pick<AppendedBatch, 'firstPosition' | 'recordedAt' | 'previous'>,
  ): void {
    const { shard, onAppended } = this.options
    for (const [i, flush] of appended.entries()) flush.settleAppended(shard, firstPosition + i)
    const events = appended.map((flush) => flush.attributed)
    const payloadSha256s = appended.map((flush) => flush.payloadSha256)
    onAppended(shard, { firstPosition, recordedAt, events, payloadSha256s, previous })
  }

  /** Answers each by the event that its idempotency key found; one at a time, for its size. */
  async #settleReplayed(replayed: Map<PendingFlush, number>): Promise<void> {
    const { shard, sql } = this.options
    for (const [flush, position] of replayed) {
      const [row] = await sql<{ type: string; version: number; payload: string }[]>`
        select e.type, e.version, e.payload::text as payload
        from events e
        where e.shard = ${shard} and e.position = ${position}`
      const event = decodeEvent(row!.type, row!.version, row!.payload)
      flush.settle(replayOutcome({ shard, position, event }, flush.posted))
    }
  }
}

/** Rejects where `work` takes longer; what becomes of it then isn't known. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TemporarilyUnavailable('no answer')), ms)
  })
  try {
    await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}
