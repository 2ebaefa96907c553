import { NotNow } from '../db/errors.ts'
import { type Pools, type Transaction, transact } from '../db/pool.ts'
import { PayloadError } from '../events/columns.ts'
import { decodeEvent, type Event } from '../events/event.ts'
import type { Positions } from '../events/positions.ts'
import { type FoldableEvent, readHeads, readPositionAt, visitEvents } from '../log/read.ts'
import { catalogRows } from '../projections/catalog-rows.ts'
import { countApiKeys, countGroups, countKeys } from '../projections/count.ts'
import { KeySums } from '../projections/key-sums.ts'
import { type Past, pastSource } from '../projections/past-source.ts'
import type { Projection } from '../projections/projection.ts'
import { snapshots } from '../projections/snapshots.ts'
import type { Source } from '../projections/source.ts'
import { Sums } from '../projections/sums.ts'

/** Which counters a read of the past needs. */
export type Counted = 'apiKeys' | 'groups' | 'keys'

/** Milliseconds in which an append has ended, with or without success. */
const APPEND_MS = 40_000

/** Events that a read folds at most: three seconds of work. Between snapshots there are fewer. */
const MAX_EVENTS = 500_000

/**
 * Reads of the past: the newest snapshots before, and what the log says since. They cost the same
 * at any age. The one kind of read that looks into the log, for a bounded number of events.
 */
export class History {
  constructor(
    private readonly pools: Pools,
    private readonly shards: number,
  ) {}

  /**
   * The positions of the last events recorded at `moment` or before; null where it is yet to come.
   * Exact for ever: nothing can be recorded any more at a moment that this has answered.
   */
  async positionsAt(moment: string): Promise<Positions | null> {
    const { read } = this.pools
    // PostgreSQL would round what is finer than its microseconds, and perhaps up.
    const at = moment.replace(/(\.\d{6})\d+/, '$1')
    const [row] = await read<{ come: boolean; recent: boolean; next: string }[]>`
      select
        m.at <= clock_timestamp() as come,
        m.at > clock_timestamp() - ${APPEND_MS} * interval '1 ms' as recent,
        (m.at + interval '1 microsecond')::text as next
      from (select ${at}::timestamptz as at) m`
    const { come, recent, next } = row!
    if (!come) return null
    if (recent) await this.#settle()
    const shards = Array.from({ length: this.shards }, (_, shard) => shard)
    const after = await Promise.all(shards.map((shard) => readPositionAt(read, shard, next)))
    return after.map((position) => Number(position) - 1)
  }

  /** These positions, a shard left out at its head; null where the log isn't there yet. */
  async positionsOf(asked: readonly (number | undefined)[]): Promise<Positions | null> {
    const heads = await readHeads(this.pools.read)
    if (asked.some((position, shard) => position !== undefined && position > heads[shard]!)) {
      return null
    }
    return heads.map((head, shard) => asked[shard] ?? head)
  }

  /** Reads the counters of one kind, and the catalog, as they stood after these events. */
  async read<Value>(
    positions: Positions,
    counted: Counted,
    read: (transaction: Transaction, source: Source) => Promise<Value>,
  ): Promise<Value> {
    return transact(
      this.pools.read,
      'isolation level repeatable read read only',
      async (transaction) => {
        const past = await readPast(transaction, positions, counted)
        return read(transaction, pastSource(transaction, past))
      },
    )
  }

  /**
   * Waits until no append is under way that took its time before now: an append takes its shard's
   * lock before its time, and holds it until its commit.
   */
  async #settle(): Promise<void> {
    for (let shard = 0; shard < this.shards; shard++) {
      await this.pools.project`select from shards s where s.shard = ${shard} for key share`
    }
  }
}

async function readPast(
  transaction: Transaction,
  positions: Positions,
  counted: Counted,
): Promise<Past> {
  const generations = await readGenerations(transaction)
  const starts: number[] = []
  const apiKeys = new Sums()
  const groups = new Sums()
  const keys = new KeySums()
  for (const [shard, position] of positions.entries()) {
    const start = await readSnapshotBefore(transaction, generations.snapshots, shard, position)
    starts.push(start)
    const events = position - start
    if (events > MAX_EVENTS) throw new NotNow('snapshots are behind')
    await visitEvents(transaction, { shard, after: start }, events, (stored) => {
      const isKeys = stored.type === 'KeyStatsFlushed'
      if (isKeys !== (counted === 'keys')) return
      const event = decode(stored)
      if (event?.type === 'KeyStatsFlushed') countKeys(keys, event.flush)
      if (event?.type !== 'ApiKeyStatsFlushed') return
      if (counted === 'apiKeys') countApiKeys(apiKeys, event.flush)
      else countGroups(groups, event.flush)
    })
  }
  const since = { apiKeys: apiKeys.toSorted(), groups: groups.toSorted(), keys: keys.toSorted() }
  return { positions, generations, snapshots: starts, since }
}

/** The live generations, once they are of the kind that this code makes. */
async function readGenerations(transaction: Transaction): Promise<Past['generations']> {
  const rows = await transaction<{ projection: string; generation: number; version: number }[]>`
    select p.projection, p.generation, p.version from projections p`
  const generationOf = ({ name, version }: Projection) => {
    const row = rows.find(({ projection }) => projection === name)
    // An older one is being rebuilt, and a newer one is for newer code.
    if (row?.version !== version) throw new NotNow(`${name} is being rebuilt`)
    return row.generation
  }
  return { catalog: generationOf(catalogRows), snapshots: generationOf(snapshots) }
}

async function readSnapshotBefore(
  transaction: Transaction,
  generation: number,
  shard: number,
  position: number,
): Promise<number> {
  const [row] = await transaction<{ position: string | null }[]>`
    select max(s.position) as position
    from api_key_snapshots s
    where s.shard = ${shard} and s.generation = ${generation} and s.position <= ${position}`
  return row!.position === null ? -1 : Number(row!.position)
}

/** Null for an event that can't be folded: the projections have parked it. */
function decode({ type, version, payload }: FoldableEvent): Event | null {
  try {
    return decodeEvent(type, version, payload)
  } catch (error) {
    if (error instanceof PayloadError) return null
    throw error
  }
}
