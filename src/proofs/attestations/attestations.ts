import type { Logger } from 'pino'
import type { Positions } from '../../events/positions.ts'
import type { AppendedServiceEvent } from '../../log/append-event.ts'
import { Poll } from '../../platform/async/poll.ts'
import { Semaphore } from '../../platform/async/semaphore.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { areCurrent } from '../../read-model/projector/checkpoint.ts'
import type { Projector } from '../../read-model/projector/projector.ts'
import { attestShard } from './attest.ts'
import { readAge, readNewestAttestation, type StoredAttestation } from './newest.ts'

/** How long (ms) to wait for the projections to catch up before they are attested. */
const CATCH_UP_MS = 10_000

/** Delay (ms) between a start and the first check whether an attestation is due. */
const START_MS = 10_000

/** Delay (ms) before a failed attestation is tried again. */
const RETRY_MS = 60_000

/**
 * Shards attested concurrently. Each reads all of its rows over one connection of the read pool.
 */
const MAX_CONCURRENT = 3

/** Sums over all shards, the positions they are as of, and the attestations that state them. */
export type AttestedTotals = {
  requests: bigint
  successes: bigint
  positions: Positions
  attestations: { shard: number; position: number }[]
}

/** Connections, and what attestations depend on. `onAppended` is called with each one. */
export type AttestationsOptions = {
  pools: Pools
  shards: number
  projector: Projector
  onAppended: (shard: number, position: number) => void
}

/** Appends attestations of the projections to the log, on a schedule and on request. */
export class Attestations {
  #running: Promise<AppendedServiceEvent[] | null> | null = null
  /** The `minAgeMs` of the running attestation. */
  #minAgeMs = 0

  constructor(private readonly options: AttestationsOptions) {}

  /**
   * Attests every shard that has grown and returns the appended events, or null if the projections
   * don't catch up in time. A call made while an attestation is running gets a new one after it.
   * Shards whose newest attestation, by any instance, is younger than `minAgeMs` are skipped.
   */
  async attest(minAgeMs = 0): Promise<AppendedServiceEvent[] | null> {
    await this.#running?.catch(() => {})
    // Another waiting call has started one in the meantime, but for fewer shards.
    if (this.#running && this.#minAgeMs > minAgeMs) return this.attest(minAgeMs)
    if (!this.#running) this.#minAgeMs = minAgeMs
    this.#running ??= this.#attestAll(minAgeMs).finally(() => {
      this.#running = null
    })
    return this.#running
  }

  /** Returns the newest attestation of each shard that has one. */
  async readNewest(): Promise<StoredAttestation[]> {
    const { pools, shards } = this.options
    const newest = await Promise.all(
      Array.from({ length: shards }, (_, shard) => readNewestAttestation(pools.read, shard)),
    )
    return newest.filter((attestation) => attestation !== null)
  }

  /** Returns the sums of the newest attestations over all shards, or null if there are none. */
  async readTotals(): Promise<AttestedTotals | null> {
    const newest = await this.readNewest()
    if (newest.length === 0) return null
    const positions = new Array<number>(this.options.shards).fill(-1)
    let [requests, successes] = [0n, 0n]
    for (const { shard, totals } of newest) {
      positions[shard] = totals.position
      requests += BigInt(totals.requests)
      successes += BigInt(totals.successes)
    }
    const attestations = newest.map(({ shard, position }) => ({ shard, position }))
    return { requests, successes, positions, attestations }
  }

  /**
   * Attests every `minutes`, counted from the newest attestation or else from the first event, so
   * that restarts do not shift the schedule. If several instances are due, the first one attests
   * and the others find its attestation too young.
   */
  schedule(minutes: number, logger: Logger): Poll {
    const interval = minutes * 60_000
    const poll: Poll = new Poll(
      () => this.#attestIfDue(interval, () => poll.isStopped, logger),
      interval,
    )
    // Not immediately: a starting service has more urgent work.
    return poll.start(Math.min(interval / 10, START_MS))
  }

  /** Returns the delay (ms) until the next check. Attests nothing once stopped. */
  async #attestIfDue(interval: number, isStopped: () => boolean, logger: Logger): Promise<number> {
    try {
      const age = await readAge(this.options.pools.control)
      if (age === null || isStopped()) return interval
      // A negative age means that the clock was set back: attest as if it were due.
      if (age >= 0 && age < interval) return interval - age
      // If another instance decides at the same time, one of the two finds the attestation of the
      // other or learns from its own append that it was second.
      if ((await this.attest(interval * 0.9)) !== null) return interval
      logger.warn('attestation postponed: the projections are behind')
    } catch (error) {
      logger.error({ err: error }, 'attestation failed')
    }
    return Math.min(interval, RETRY_MS)
  }

  /** Waits for the running attestation, if any. */
  async stop(): Promise<void> {
    await this.#running?.catch(() => {})
  }

  async #attestAll(minAgeMs: number): Promise<AppendedServiceEvent[] | null> {
    const { shards, projector, onAppended } = this.options
    const caughtUp = await Promise.all([
      projector.catchUp(CATCH_UP_MS, 'current'),
      projector.catchUp(CATCH_UP_MS, 'usage'),
    ])
    if (!caughtUp.every(Boolean)) return null
    // Projections folded by older code are not attested: the start rebuilds them.
    if (!(await areCurrent(this.options.pools.read))) return null
    const semaphore = new Semaphore(MAX_CONCURRENT)
    const attested = await Promise.all(
      Array.from({ length: shards }, (_, shard) =>
        semaphore.run(async () => {
          const appended = await this.#attest(shard, minAgeMs)
          if (appended !== null) onAppended(shard, appended.position)
          return appended
        }),
      ),
    )
    return attested.filter((appended) => appended !== null)
  }

  /**
   * Attests a shard. If another instance attested first, its attestation may predate the change
   * that triggered ours, so attest once more.
   */
  async #attest(shard: number, minAgeMs: number): Promise<AppendedServiceEvent | null> {
    const { pools } = this.options
    const appended = await attestShard(pools, shard, minAgeMs)
    if (!appended?.replayed) return appended
    return (await attestShard(pools, shard, minAgeMs)) ?? appended
  }
}
