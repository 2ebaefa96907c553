import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Served } from '../../cluster/replicas/reads.ts'
import { type Replica, STATES } from '../../cluster/replicas/replica.ts'
import type { AppendOutcome } from '../../log/queue.ts'
import { withinOr } from '../../platform/async/deadline.ts'
import { findAnswering } from '../../platform/postgres/citus/answering.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import type { ArchiveState } from '../status/index.ts'
import { DatabaseGauges } from './database.ts'
import { processMetrics } from './process.ts'

/** The timeout of the checks of the database, in milliseconds; a scrape may take 10 s. */
const CHECK_TIMEOUT_MS = 3_000

/** The reasons why a read went to the primary although there are replicas. */
const FALLBACK_REASONS: Served[] = [...STATES, 'failed', 'missing']

/** Why spans were not exported: too many waited, or the collector took none. */
const DROP_REASONS = ['queue_full', 'export_failed'] as const

/** The outcome of a refused flush by HTTP status; status 200 is `appended` or `replayed`. */
const OUTCOMES: Record<number, string> = {
  400: 'rejected',
  401: 'unauthorized',
  403: 'forbidden',
  408: 'too_slow',
  413: 'too_large',
  415: 'rejected',
  422: 'key_reused',
  429: 'too_many_requests',
  500: 'failed',
  503: 'unavailable',
}

/**
 * The service's metrics for Prometheus. They contain no name, key or token of a client. Every
 * series of a counter exists from the start, so that its first increase is visible; a gauge whose
 * value is unknown has no series.
 */
export class Metrics {
  readonly registry = new Registry()

  readonly #flushes = new Counter({
    name: 'tallybook_flushes_total',
    help: 'Flushes by outcome',
    labelNames: ['outcome'] as const,
    registers: [this.registry],
  })
  readonly #appendSeconds = new Histogram({
    name: 'tallybook_append_duration_seconds',
    help: 'Time from the queue into the log, including the commit',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.registry],
  })

  readonly #limited = new Counter({
    name: 'tallybook_registration_limited_total',
    help: 'Unknown keys that the daily limit left unregistered, in each batch that named them',
    registers: [this.registry],
  })
  readonly #others = new Counter({
    name: 'tallybook_dimension_others_total',
    help: 'Values of dimensions in appended flushes that a limit of the day counts as other',
    registers: [this.registry],
  })
  readonly #droppedSpans = new Counter({
    name: 'tallybook_trace_spans_dropped_total',
    help: 'Spans of traces that were not exported, by reason',
    labelNames: ['reason'] as const,
    registers: [this.registry],
  })
  readonly #queueLength = this.#gauge(
    'tallybook_queue_length',
    'Flushes accepted but not yet in the log',
  )
  readonly #up = this.#gauge('tallybook_database_up', '1 if the database answers, else 0')
  readonly #shardUp = this.#gauge(
    'tallybook_shard_up',
    '1 if the shard can be read and accepts flushes, else 0',
    ['shard'],
  )
  readonly #database: DatabaseGauges
  readonly #ahead = this.#gauge(
    'tallybook_log_ahead_seconds',
    'By how much the newest event is in the future, 0 below a minute; should be 0',
  )

  readonly #unreadable = this.#gauge(
    'tallybook_archive_unreadable_segments',
    'Segments whose file could not be read when this instance last tried; must be 0',
  )
  readonly #archiveFailing = this.#gauge(
    'tallybook_archive_failing',
    '1 if this instance could not move segments when it last tried, else 0',
  )

  readonly #treeSize = this.#gauge(
    'tallybook_tree_size',
    'Events that the newest signed tree head of this instance covers',
    ['shard'],
  )
  readonly #instances = this.#gauge('tallybook_instances', 'Live instances that use the database')
  readonly #owned = this.#gauge(
    'tallybook_shard_owned',
    '1 if this instance folds and signs the shard, else 0',
    ['shard'],
  )
  readonly #tends = this.#gauge(
    'tallybook_tends',
    'Deprecated: use tallybook_shard_owned, which has the same value',
    ['shard'],
  )
  readonly #replicaReads = new Counter({
    name: 'tallybook_replica_reads_total',
    help: 'Reads that a replica answered',
    registers: [this.registry],
  })
  readonly #fallbacks = new Counter({
    name: 'tallybook_replica_fallbacks_total',
    help: 'Reads that went to the primary although there are replicas, by reason',
    labelNames: ['reason'] as const,
    registers: [this.registry],
  })
  readonly #replicaUsed = this.#gauge('tallybook_replica_used', '1 if reads go to it, else 0', [
    'replica',
  ])
  readonly #replicaLagEvents = this.#gauge(
    'tallybook_replica_lag_events',
    'Events that the replica lacks',
    ['replica'],
  )
  readonly #replicaLagSeconds = this.#gauge(
    'tallybook_replica_lag_seconds',
    'Age of the oldest event that the replica lacks',
    ['replica'],
  )

  #rendering: Promise<string> | null = null
  #renderedAt = 0

  constructor(
    private readonly sources: {
      reuseMs: number
      pools: Pools
      ahead: { readonly seconds: number | null }
      archive: ArchiveState
      replicas: readonly Replica[]
      shards: number
      /** Returns for each shard whether it accepts flushes. */
      canTakeEach: () => Promise<boolean[]>
      queueLength: () => number
      /** Returns the size of the newest signed tree head of each shard. */
      treeSizes: () => number[]
      instances: { count: number; owns(shard: number): boolean }
      /** Returns the number of keys that were registered today; null if none is registered. */
      registration: { readToday(): Promise<number> } | null
    },
  ) {
    this.#database = new DatabaseGauges(this.registry, sources.registration)
    for (const metric of processMetrics()) this.registry.registerMetric(metric)
    for (const outcome of ['appended', 'replayed', ...Object.values(OUTCOMES)]) {
      this.#flushes.inc({ outcome }, 0)
    }
    for (const reason of DROP_REASONS) this.#droppedSpans.inc({ reason }, 0)
    if (sources.replicas.length > 0) {
      for (const reason of FALLBACK_REASONS) this.#fallbacks.inc({ reason }, 0)
    }
  }

  /**
   * Returns all metrics in Prometheus' text format. A scrape within `reuseMs` of another gets the
   * same text, so that frequent scrapes cost no more than one.
   */
  render(): Promise<string> {
    const now = performance.now()
    if (this.#rendering === null || now - this.#renderedAt >= this.sources.reuseMs) {
      this.#renderedAt = now
      this.#rendering = this.#render()
    }
    return this.#rendering
  }

  async #render(): Promise<string> {
    this.#queueLength.set(this.sources.queueLength())
    const { instances, archive } = this.sources
    this.#unreadable.set(archive.checks.unreadable.length)
    this.#archiveFailing.set(archive.archiver.failing === null ? 0 : 1)
    this.#instances.set(instances.count)
    for (const [shard, size] of this.sources.treeSizes().entries()) {
      this.#treeSize.set({ shard: String(shard) }, size)
      const owned = instances.owns(shard) ? 1 : 0
      this.#owned.set({ shard: String(shard) }, owned)
      this.#tends.set({ shard: String(shard) }, owned)
    }
    for (const { number, state, lag } of this.sources.replicas) {
      const replica = String(number)
      this.#replicaUsed.set({ replica }, state === 'used' ? 1 : 0)
      this.#replicaLagEvents.set({ replica }, lag.events)
      this.#replicaLagSeconds.set({ replica }, lag.seconds)
    }
    await Promise.all([
      this.#updateAvailability(),
      this.#database.update(this.sources.pools.control),
    ])
    return this.registry.metrics()
  }

  async #updateAvailability(): Promise<void> {
    const { pools, shards, canTakeEach, ahead } = this.sources
    const none = new Array<boolean>(shards).fill(false)
    const [answering, taking] = await Promise.all([
      withinOr(CHECK_TIMEOUT_MS, findAnswering(pools.control, shards), {
        isUp: false,
        shards: none,
      }),
      withinOr(CHECK_TIMEOUT_MS, canTakeEach(), none),
    ])
    this.#up.set(answering.isUp ? 1 : 0)
    if (answering.isUp && ahead.seconds !== null) this.#ahead.set(ahead.seconds)
    else this.#ahead.remove({})
    for (let shard = 0; shard < shards; shard++) {
      const isUp = answering.shards[shard] && taking[shard]
      this.#shardUp.set({ shard: String(shard) }, isUp ? 1 : 0)
    }
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[] = []) {
    return new Gauge({ name, help, labelNames, registers: [this.registry] })
  }

  /** Counts a read that a replica answered or should have answered. */
  observeRead(served: Served): void {
    if (served === 'replica') this.#replicaReads.inc()
    else this.#fallbacks.inc({ reason: served })
  }

  /** Counts keys that the limit of the day leaves unknown. */
  observeLimit(keys: number): void {
    this.#limited.inc(keys)
  }

  /** Counts values of dimensions that are counted as `other`. */
  observeOthers(values: number): void {
    this.#others.inc(values)
  }

  /** Counts spans of traces that were not exported. */
  observeDroppedSpans(spans: number, reason: (typeof DROP_REASONS)[number]): void {
    this.#droppedSpans.inc({ reason }, spans)
  }

  /** Counts a flush whose response was not 200. */
  observeRefused(status: number): void {
    this.#flushes.inc({ outcome: OUTCOMES[status] ?? 'failed' })
  }

  /** Counts a flush that was appended or replayed, and records how long the log took. */
  observeFlush(outcome: AppendOutcome, seconds: number): void {
    if (outcome.kind === 'appended') {
      this.#flushes.inc({ outcome: outcome.replayed ? 'replayed' : 'appended' })
    }
    this.#appendSeconds.observe(seconds)
  }
}
