import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { isUnavailable } from '../db/errors.ts'
import type { Pools, Sql } from '../db/pool.ts'
import type { AppendOutcome } from '../log/queue.ts'
import { readRebuilds } from '../projector/rebuild/record.ts'
import { readParkedEvents, readProjectionStatus } from '../projector/status.ts'
import type { Served } from '../replicas/reads.ts'
import type { Replica } from '../replicas/replica.ts'
import { readNewestFinished } from '../verifications/stored.ts'
import { describe } from './openapi.ts'

/**
 * What the service counts about itself, for Prometheus. Holds no name, key or token of a client.
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
    help: 'From the queue into the log, the commit included',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.registry],
  })

  readonly #queueLength = this.#gauge(
    'tallybook_queue_length',
    'Flushes accepted and not in the log yet',
  )
  readonly #up = this.#gauge('tallybook_database_up', '1 where the database answers, else 0')
  readonly #position = this.#gauge('tallybook_log_position', 'Position of the last event', [
    'shard',
  ])
  readonly #lagEvents = this.#gauge('tallybook_projection_lag_events', 'Events not folded yet', [
    'projection',
  ])
  readonly #lagSeconds = this.#gauge(
    'tallybook_projection_lag_seconds',
    'Age of the oldest event not folded yet',
    ['projection'],
  )
  readonly #parked = this.#gauge(
    'tallybook_parked_events',
    'Events that could not be folded; should be 0',
  )

  readonly #treeSize = this.#gauge(
    'tallybook_tree_size',
    'Events that the newest signed tree head of this instance covers',
    ['shard'],
  )
  readonly #instances = this.#gauge('tallybook_instances', 'Instances that run on the database')
  readonly #tends = this.#gauge(
    'tallybook_tends',
    '1 for a shard that this instance folds and signs, else 0',
    ['shard'],
  )
  readonly #drifted = this.#gauge(
    'tallybook_projection_drifted_rows',
    'Rows that the newest rebuild found to differ from the log; should be 0',
    ['projection'],
  )
  readonly #verifyProblems = this.#gauge(
    'tallybook_verify_problems',
    'Problems that the newest finished verification found; must be 0',
  )
  readonly #verifiedAt = this.#gauge(
    'tallybook_verify_timestamp_seconds',
    'When the newest finished verification ended; 0 where none has',
  )

  readonly #replicaReads = new Counter({
    name: 'tallybook_replica_reads_total',
    help: 'Reads that a replica has answered',
    registers: [this.registry],
  })
  readonly #fallbacks = new Counter({
    name: 'tallybook_replica_fallbacks_total',
    help: 'Reads that went to the primary though there are replicas, by reason',
    labelNames: ['reason'] as const,
    registers: [this.registry],
  })
  readonly #replicaUsed = this.#gauge('tallybook_replica_used', '1 where reads go to it, else 0', [
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

  constructor(
    private readonly sources: {
      pools: Pools
      replicas: readonly Replica[]
      queueLength: () => number
      /** By shard. */
      treeSizes: () => number[]
      instances: { count: number; tends(shard: number): boolean }
    },
  ) {
    collectDefaultMetrics({ register: this.registry })
  }

  /** All metrics as of now, in Prometheus' text format. */
  async render(): Promise<string> {
    this.#queueLength.set(this.sources.queueLength())
    const { instances } = this.sources
    this.#instances.set(instances.count)
    for (const [shard, size] of this.sources.treeSizes().entries()) {
      this.#treeSize.set({ shard: String(shard) }, size)
      this.#tends.set({ shard: String(shard) }, instances.tends(shard) ? 1 : 0)
    }
    for (const { number, state, lag } of this.sources.replicas) {
      const replica = String(number)
      this.#replicaUsed.set({ replica }, state === 'used' ? 1 : 0)
      this.#replicaLagEvents.set({ replica }, lag.events)
      this.#replicaLagSeconds.set({ replica }, lag.seconds)
    }
    try {
      await this.#readDatabase(this.sources.pools.read)
      this.#up.set(1)
    } catch (error) {
      if (!isUnavailable(error)) throw error
      this.#up.set(0)
    }
    return this.registry.metrics()
  }

  async #readDatabase(sql: Sql): Promise<void> {
    const [status, parked, rebuilds, verified] = await Promise.all([
      readProjectionStatus(sql),
      readParkedEvents(sql, 1),
      readRebuilds(sql),
      readNewestFinished(sql),
    ])
    for (const [shard, position] of status[0]?.head.entries() ?? []) {
      this.#position.set({ shard: String(shard) }, position)
    }
    for (const { name, lagEvents, lagSeconds } of status) {
      this.#lagEvents.set({ projection: name }, lagEvents)
      this.#lagSeconds.set({ projection: name }, lagSeconds)
    }
    this.#parked.set(parked.count)
    for (const { projection, driftedRows } of rebuilds) {
      this.#drifted.set({ projection }, driftedRows ?? 0)
    }
    this.#verifyProblems.set(verified?.problems ?? 0)
    this.#verifiedAt.set(verified?.finishedAt ?? 0)
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[] = []) {
    return new Gauge({ name, help, labelNames, registers: [this.registry] })
  }

  /** Counts a read that a replica has answered, or should have. */
  observeRead(served: Served): void {
    if (served === 'replica') this.#replicaReads.inc()
    else this.#fallbacks.inc({ reason: served })
  }

  /** Counts a flush whose body was not one. */
  observeRejected(): void {
    this.#flushes.inc({ outcome: 'rejected' })
  }

  /** Counts a flush that the log has settled. */
  observeFlush(outcome: AppendOutcome, seconds: number): void {
    const replayed = outcome.kind === 'appended' && outcome.replayed
    this.#flushes.inc({ outcome: replayed ? 'replayed' : outcome.kind })
    this.#appendSeconds.observe(seconds)
  }
}

/** GET /metrics. */
export function metricsRoute(metrics: Metrics) {
  return new Elysia({ name: 'metrics' }).get(
    '/metrics',
    async () =>
      new Response(await metrics.render(), {
        headers: { 'content-type': metrics.registry.contentType },
      }),
    {
      detail: describe({
        tag: 'Operations',
        open: true,
        summary: 'Metrics for Prometheus',
        ok: {
          description: 'Text exposition format',
          type: 'text/plain',
          schema: Type.String(),
          example: 'tallybook_flushes_total{outcome="appended"} 42\n',
        },
        errors: [],
      }),
    },
  )
}
