import type { Location, Positions } from '../../events/positions.ts'
import { readPositionAt } from '../../log/position-at.ts'
import { readHeads, readRecordedAt } from '../../log/read.ts'
import { Semaphore } from '../../platform/async/semaphore.ts'
import { inSnapshot, type Pools, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import type { UsageRow } from '../projections/usage.ts'
import { readAsOf, SnapshotsBehind } from './as-of-counters.ts'
import { asOfSource } from './as-of-source.ts'
import { readPartialQuarterHours, readUsageThen } from './as-of-usage.ts'
import type { PartialQuarterHour } from './as-of-usage-rows.ts'
import { foldBlock } from './incomplete-block.ts'
import type { Source } from './live-source.ts'
import type { ReadLarge } from './read-large.ts'
import type { Scope } from './scope.ts'
import type { Usage } from './usage.ts'
import type { DividedUsage, Division } from './usage-by.ts'

/** Shards updated concurrently: half of the connections of the projector's pool. */
const CONCURRENT_UPDATES = 4

/**
 * As-of reads. They cost the same at any age, and are the only reads that use the log, for a
 * bounded number of events. Positions are always determined from the primary's log; `read` and
 * `readUsage` run on the connection they are given.
 */
export class AsOfQueries {
  constructor(
    private readonly pools: Pools,
    readonly shards: number,
    /** Called when a read failed because snapshots are behind. */
    private readonly onBehind: () => void = () => {},
    /** Reads a large event in parts, off this thread; null decodes it here, in one go. */
    readonly readLarge: ReadLarge | null = null,
  ) {}

  /**
   * Returns the positions of the last events recorded at or before `moment`, or null if it is in
   * the future. The answer never changes: no event can be recorded any more at a moment that was
   * answered.
   */
  async positionsAsOf(moment: string): Promise<Positions | null> {
    const { read } = this.pools
    // PostgreSQL rounds to microseconds, possibly up.
    const at = moment.replace(/(\.\d{6})\d+/, '$1')
    const [row] = await read<{ come: boolean; next: string }[]>`
      select m.at <= clock_timestamp() as come, (m.at + interval '1 microsecond')::text as next
      from (select ${at}::timestamptz as at) m`
    const { come, next } = row!
    return come ? this.#positionsBefore(next) : null
  }

  /**
   * The same for a moment in microseconds that may be in the future, where a wrong clock recorded
   * events: further ones are recorded after it, though the clock has not reached it.
   */
  async positionsThrough(moment: string): Promise<Positions> {
    const [row] = await this.pools.read<{ next: string }[]>`
      select (${moment}::timestamptz + interval '1 microsecond')::text as next`
    return this.#positionsBefore(row!.next)
  }

  async #positionsBefore(next: string): Promise<Positions> {
    await this.#settle(next)
    const shards = Array.from({ length: this.shards }, (_, shard) => shard)
    const after = await Promise.all(
      shards.map((shard) => readPositionAt(this.pools.read, shard, next)),
    )
    return after.map((position) => position - 1)
  }

  /**
   * Returns the positions asked for, with the head for each shard left out, or null if one is
   * beyond the end of the log.
   */
  async positionsOf(requested: readonly (number | undefined)[]): Promise<Positions | null> {
    const heads = await readHeads(this.pools.read)
    if (requested.some((position, shard) => position !== undefined && position > heads[shard]!)) {
      return null
    }
    return heads.map((head, shard) => requested[shard] ?? head)
  }

  /**
   * Returns when the newest of the events at these positions was recorded, or null if there are
   * none.
   */
  async momentOf(positions: Positions): Promise<string | null> {
    const moments = await Promise.all(
      positions.map((position, shard) => readRecordedAt(this.pools.read, shard, position)),
    )
    // All have the same format, in which text order is time order.
    return moments.reduce(
      (newest, at) => (at !== null && (newest === null || at > newest) ? at : newest),
      null,
    )
  }

  /** Reads counters of one kind of account, and the catalog, as of these positions. */
  read<Value>(
    sql: Sql | Transaction,
    positions: Positions,
    scope: Scope,
    read: (transaction: Transaction, source: Source) => Promise<Value>,
  ): Promise<Value> {
    return this.#reportingBehind(sql, async (transaction) => {
      const asOf = await readAsOf(transaction, positions, scope, this.readLarge)
      return read(transaction, asOfSource(transaction, asOf))
    })
  }

  /** Reads usage as of these positions, divided by dimensions if `division` is not null. */
  readUsage(
    sql: Sql | Transaction,
    positions: Positions,
    scope: Scope,
    bounds: readonly string[],
    division: Division | null = null,
  ): Promise<Usage | DividedUsage> {
    return this.readQuarters(sql, positions, scope, (transaction, quarters) =>
      readUsageThen(transaction, scope, quarters, bounds, division, this.readLarge),
    )
  }

  /** Reads from what usage rows as of these positions are made of. */
  readQuarters<Value>(
    sql: Sql | Transaction,
    positions: Positions,
    scope: Scope,
    read: (transaction: Transaction, quarters: readonly PartialQuarterHour[]) => Promise<Value>,
  ): Promise<Value> {
    return this.#reportingBehind(sql, async (transaction) =>
      read(transaction, await readPartialQuarterHours(transaction, positions, scope)),
    )
  }

  /** Returns the last position of a shard that was recorded before a moment; -1 for none. */
  async readPositionBefore(sql: Sql | Transaction, shard: number, at: string): Promise<number> {
    return (await readPositionAt(sql, shard, at)) - 1
  }

  /** See `foldBlock`. */
  foldBlock(transaction: Transaction, scope: Scope, place: Location): Promise<UsageRow[]> {
    return foldBlock(transaction, scope, place)
  }

  async #reportingBehind<Value>(
    sql: Sql | Transaction,
    read: (transaction: Transaction) => Promise<Value>,
  ): Promise<Value> {
    try {
      return await inSnapshot(sql, read)
    } catch (error) {
      if (error instanceof SnapshotsBehind) this.onBehind()
      throw error
    }
  }

  /**
   * Ensures that no further event gets a time before `next`, whatever the clock does. An append
   * reads its time after it has locked its shard's row, and never takes one before the previous
   * event's or before `not_before` in the row, which this raises. The update waits for appends in
   * progress, which hold that lock.
   */
  async #settle(next: string): Promise<void> {
    const open = await this.pools.read<{ shard: number }[]>`
      select s.shard
      from shards s
      where s.not_before < ${next}::timestamptz
        and not exists (
          select
          from (
            select e.recorded_at from events e where e.shard = s.shard
            order by e.position desc limit 1
          ) e
          where e.recorded_at >= ${next}::timestamptz
        )`
    const semaphore = new Semaphore(CONCURRENT_UPDATES)
    await Promise.all(
      open.map(({ shard }) =>
        semaphore.run(async () => {
          await this.pools.project`
            update shards s
            set not_before = greatest(s.not_before, ${next}::timestamptz)
            where s.shard = ${shard}`
        }),
      ),
    )
  }
}
