import { Type } from '@sinclair/typebox'
import { Elysia } from 'elysia'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Pools } from '../db/pool.ts'
import type { AppendOutcome } from '../log/queue.ts'
import { readParkedEvents, readProjectionStatus } from '../projector/status.ts'
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

  constructor({ pools, queueLength }: { pools: Pools; queueLength: () => number }) {
    collectDefaultMetrics({ register: this.registry })
    const gauge = (name: string, help: string, labelNames: string[] = []) =>
      new Gauge({ name, help, labelNames, registers: [this.registry] })
    const head = gauge('tallybook_log_position', 'Position of the last event', ['shard'])
    const lagEvents = gauge('tallybook_projection_lag_events', 'Events not folded yet', [
      'projection',
    ])
    const lagSeconds = gauge(
      'tallybook_projection_lag_seconds',
      'Age of the oldest event not folded yet',
      ['projection'],
    )
    const up = gauge('tallybook_database_up', '1 where the database answers, else 0')
    const parked = gauge('tallybook_parked_events', 'Events that could not be folded; should be 0')
    new Gauge({
      name: 'tallybook_queue_length',
      help: 'Flushes accepted and not in the log yet',
      registers: [this.registry],
      async collect() {
        this.set(queueLength())
        const status = await readProjectionStatus(pools.read).catch(() => null)
        up.set(status === null ? 0 : 1)
        if (status === null) return
        for (const [shard, position] of status[0]?.head.entries() ?? []) {
          head.set({ shard: String(shard) }, position)
        }
        for (const projection of status) {
          lagEvents.set({ projection: projection.name }, projection.lagEvents)
          lagSeconds.set({ projection: projection.name }, projection.lagSeconds)
        }
        const { count } = await readParkedEvents(pools.read, 1).catch(() => ({ count: 0 }))
        parked.set(count)
      },
    })
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
      new Response(await metrics.registry.metrics(), {
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
