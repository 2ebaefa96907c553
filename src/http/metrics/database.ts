import { Gauge, type Registry } from 'prom-client'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { readNewestAttestedAt } from '../../proofs/attestations/newest.ts'
import { readNewestFinished } from '../../proofs/integrity/scheduled/stored.ts'
import { readParkedEvents, readProjectionStatus } from '../../read-model/projector/status.ts'
import { readRebuilds } from '../../read-model/rebuild/record.ts'
import { countSegments, SEGMENT_STATES } from '../../retention/list.ts'
import { countCrossings } from '../../rules/crossings.ts'
import { countTroubles } from '../../sources/read.ts'
import { countDeliveries } from '../../webhooks/outbox.ts'

/** The gauges that are read from the database. They have no value while it does not answer. */
export class DatabaseGauges {
  readonly #all: Gauge[] = []
  readonly #position: Gauge
  readonly #lagEvents: Gauge
  readonly #lagSeconds: Gauge
  readonly #parked: Gauge
  readonly #drifted: Gauge
  readonly #problems: Gauge
  readonly #verifiedAt: Gauge
  readonly #attestedAt: Gauge
  readonly #registered: Gauge
  readonly #silent: Gauge
  readonly #missing: Gauge
  readonly #crossed: Gauge
  readonly #pending: Gauge
  readonly #givenUp: Gauge
  readonly #failing: Gauge
  readonly #segments: Gauge
  readonly #archiveBytes: Gauge

  constructor(
    registry: Registry,
    private readonly registration: { readToday(): Promise<number> } | null,
  ) {
    const gauge = (name: string, help: string, labelNames: string[] = []) => {
      const made = new Gauge({ name, help, labelNames, registers: [registry] })
      this.#all.push(made)
      return made
    }
    this.#position = gauge('tallybook_log_position', 'Position of the last event', ['shard'])
    this.#lagEvents = gauge('tallybook_projection_lag_events', 'Events not yet folded', [
      'projection',
    ])
    this.#lagSeconds = gauge(
      'tallybook_projection_lag_seconds',
      'Age of the oldest event not yet folded',
      ['projection'],
    )
    this.#parked = gauge('tallybook_parked_events', 'Events that could not be folded; should be 0')
    this.#drifted = gauge(
      'tallybook_projection_drifted_rows',
      'Rows in which the newest rebuild differed from the live projection; should be 0',
      ['projection'],
    )
    this.#problems = gauge(
      'tallybook_verify_problems',
      'Problems that the newest finished verification found; must be 0',
    )
    this.#verifiedAt = gauge(
      'tallybook_verify_timestamp_seconds',
      'When the newest finished verification ended',
    )
    this.#attestedAt = gauge(
      'tallybook_attestation_timestamp_seconds',
      'When the newest attestation was recorded',
    )
    this.#registered = gauge(
      'tallybook_registered_keys_today',
      'Unknown keys that all instances have registered since midnight UTC',
    )
    this.#silent = gauge('tallybook_sources_silent', 'Sources that have stopped posting flushes')
    this.#missing = gauge(
      'tallybook_missing_flushes',
      'Flushes that are missing in the sequences of their senders',
    )
    this.#crossed = gauge('tallybook_rules_crossed', 'Subjects that cross a rule now')
    this.#pending = gauge('tallybook_webhook_pending', 'Deliveries to webhooks that wait')
    this.#givenUp = gauge(
      'tallybook_webhook_given_up',
      'Deliveries to webhooks that were given up in the last 30 days; should be 0',
    )
    this.#failing = gauge(
      'tallybook_webhooks_failing',
      'Webhooks to which no attempt has succeeded since one failed; should be 0',
    )
    this.#segments = gauge('tallybook_segments', 'Segments of the log by state', ['state'])
    this.#archiveBytes = gauge('tallybook_archive_bytes', 'Size of all files in the archive')
    this.#clear()
  }

  /** Updates all gauges. They lose their values if the database or one of its nodes is down. */
  async update(sql: Sql): Promise<void> {
    try {
      const [
        status,
        parked,
        rebuilds,
        verified,
        attestedAt,
        registered,
        sources,
        crossed,
        webhooks,
        segments,
      ] = await Promise.all([
        readProjectionStatus(sql),
        readParkedEvents(sql, 1),
        readRebuilds(sql),
        readNewestFinished(sql),
        readNewestAttestedAt(sql),
        this.registration?.readToday(),
        countTroubles(sql),
        countCrossings(sql),
        countDeliveries(sql),
        countSegments(sql),
      ])
      this.#clear()
      for (const [shard, position] of status[0]?.head.entries() ?? []) {
        this.#position.set({ shard: String(shard) }, position)
      }
      for (const { name, lagEvents, lagSeconds } of status) {
        this.#lagEvents.set({ projection: name }, lagEvents)
        this.#lagSeconds.set({ projection: name }, lagSeconds)
      }
      this.#parked.set(parked.count)
      for (const { projection, driftedRows } of rebuilds) {
        if (driftedRows !== null) this.#drifted.set({ projection }, driftedRows)
      }
      if (verified !== null) {
        this.#problems.set(verified.problems)
        this.#verifiedAt.set(verified.finishedAt)
      }
      this.#silent.set(sources.silent)
      this.#missing.set(sources.missing)
      this.#crossed.set(crossed)
      this.#pending.set(webhooks.pending)
      this.#givenUp.set(webhooks.given_up)
      this.#failing.set(webhooks.failing)
      for (const state of SEGMENT_STATES) this.#segments.set({ state }, segments.states[state])
      this.#archiveBytes.set(segments.fileBytes)
      if (registered !== undefined) this.#registered.set(registered)
      if (attestedAt !== null) this.#attestedAt.set(attestedAt)
    } catch (error) {
      this.#clear()
      if (!isUnavailable(error)) throw error
    }
  }

  /** Removes the values; `reset` alone sets a gauge without labels to 0, which is a value. */
  #clear(): void {
    for (const gauge of this.#all) {
      gauge.reset()
      gauge.remove({})
    }
  }
}
