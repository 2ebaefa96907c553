import type { Logger } from 'pino'
import type { Positions } from '../../events/positions.ts'
import type { AppendedServiceEvent } from '../../log/append-event.ts'
import { Semaphore } from '../../platform/async/semaphore.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { areCurrent } from '../../read-model/projector/checkpoint.ts'
import type { Projector } from '../../read-model/projector/projector.ts'
import { attestShard } from './attest.ts'
import { readAge, readNewestAttestation, type StoredAttestation } from './newest.ts'

/** Milliseconds to wait for the projections before they are attested. */
const CATCH_UP_MS = 10_000

/** Milliseconds from a start to the first look whether one is due. */
const START_MS = 10_000

/** Milliseconds until one that failed is tried again. */
const RETRY_MS = 60_000

/** Shards that are attested at once: each reads every row that it has, on a connection of reads. */
const AT_ONCE = 3

/** Sums over all shards, as of when they are, and where that was said. */
export type AttestedTotals = {
  requests: bigint
  successes: bigint
  positions: Positions
  attestations: { shard: number; position: number }[]
}

export type AttestationsOptions = {
  pools: Pools
  shards: number
  projector: Projector
  onAppended: (shard: number, position: number) => void
}

/** Says in the log what the projections hold: at intervals, and when somebody asks. */
export class Attestations {
  #running: Promise<AppendedServiceEvent[] | null> | null = null
  /** Of the one that is running. */
  #minAgeMs = 0

  constructor(private readonly options: AttestationsOptions) {}

  /**
   * Attests every shard that has grown; gives where. Null where the projections don't catch up.
   * Whoever asks while one is under way gets a new one after it. `minAgeMs`: only shards whose
   * newest attestation, by whichever instance, is as old.
   */
  async attest(minAgeMs = 0): Promise<AppendedServiceEvent[] | null> {
    await this.#running?.catch(() => {})
    // Another that waited too has begun one, but for less.
    if (this.#running && this.#minAgeMs > minAgeMs) return this.attest(minAgeMs)
    if (!this.#running) this.#minAgeMs = minAgeMs
    this.#running ??= this.#attestAll(minAgeMs).finally(() => {
      this.#running = null
    })
    return this.#running
  }

  /** The newest attestation of each shard that has one. */
  async readNewest(): Promise<StoredAttestation[]> {
    const { pools, shards } = this.options
    const newest = await Promise.all(
      Array.from({ length: shards }, (_, shard) => readNewestAttestation(pools.read, shard)),
    )
    return newest.filter((attestation) => attestation !== null)
  }

  /** What the newest attestations say of all shards together; null where there is none. */
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
   * Attests every so many minutes since the newest attestation, or else the first event: whatever
   * starts and stops meanwhile. Of several instances the first one then, while others find the
   * newest attestation too young.
   */
  schedule(minutes: number, logger: Logger): { stop(): void } {
    const interval = minutes * 60_000
    let timer: ReturnType<typeof setTimeout> | null = null
    const isStopped = () => timer === null
    const poll = (ms: number) => {
      timer = setTimeout(async () => {
        const next = await this.#attestIfDue(interval, isStopped, logger)
        if (!isStopped()) poll(next)
      }, ms)
    }
    // Not at once: a start has more to do.
    poll(Math.min(interval / 10, START_MS))
    return {
      stop: () => {
        if (timer !== null) clearTimeout(timer)
        timer = null
      },
    }
  }

  /** Gives the milliseconds until the next look. Attests nothing that is due after a stop. */
  async #attestIfDue(interval: number, isStopped: () => boolean, logger: Logger): Promise<number> {
    try {
      const age = await readAge(this.options.pools.control)
      if (age === null || isStopped()) return interval
      // A clock that was set back makes it no younger than it is.
      if (age >= 0 && age < interval) return interval - age
      // Another that looked at the same time is found when it has appended, or has this one find
      // that it was second.
      if ((await this.attest(interval * 0.9)) !== null) return interval
      logger.warn('attestation: the projections are behind')
    } catch (error) {
      logger.error({ err: error }, 'attestation failed')
    }
    return Math.min(interval, RETRY_MS)
  }

  /** Waits for what is under way. */
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
    // Projections that older code has folded are not attested: the start rebuilds them.
    if (!(await areCurrent(this.options.pools.read))) return null
    const semaphore = new Semaphore(AT_ONCE)
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

  /** Where another instance was faster, what it attested may be older than this one's reason to. */
  async #attest(shard: number, minAgeMs: number): Promise<AppendedServiceEvent | null> {
    const { pools } = this.options
    const appended = await attestShard(pools, shard, minAgeMs)
    if (!appended?.replayed) return appended
    return (await attestShard(pools, shard, minAgeMs)) ?? appended
  }
}
