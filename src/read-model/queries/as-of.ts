import type { Positions } from '../../events/positions.ts'
import { readHeads, readPositionAt, readRecordedAt } from '../../log/read.ts'
import { Semaphore } from '../../platform/async/semaphore.ts'
import {
  type Fragment,
  inSnapshot,
  type Pools,
  type Sql,
  type Transaction,
} from '../../platform/postgres/pool.ts'
import { readAsOf, SnapshotsBehind } from './as-of-counters.ts'
import { asOfSource } from './as-of-source.ts'
import { readPartialQuarterHours } from './as-of-usage.ts'
import { asOfUsageRows } from './as-of-usage-rows.ts'
import type { Source } from './live-source.ts'
import type { ReadLarge } from './read-large.ts'
import type { Scope } from './scope.ts'

/** Shards that are asked at once: half of the connections that passes have. */
const CONCURRENT_UPDATES = 4

/**
 * Reads of the past. They cost the same at any age, and are the one kind of read that looks into
 * the log, for a bounded number of events. Where the past stands is asked of the log itself; `read`
 * and `readUsage` read where they are told to.
 */
export class AsOfQueries {
  constructor(
    private readonly pools: Pools,
    readonly shards: number,
    /** Called when a read has failed for want of snapshots. */
    private readonly onBehind: () => void = () => {},
    /** Null: here, in one go. */
    readonly readLarge: ReadLarge | null = null,
  ) {}

  /**
   * The positions of the last events recorded at `moment` or before; null where it is yet to come.
   * Exact for ever: nothing can be recorded any more at a moment that this has answered.
   */
  async positionsAsOf(moment: string): Promise<Positions | null> {
    const { read } = this.pools
    // PostgreSQL would round what is finer than its microseconds, and perhaps up.
    const at = moment.replace(/(\.\d{6})\d+/, '$1')
    const [row] = await read<{ come: boolean; next: string }[]>`
      select m.at <= clock_timestamp() as come, (m.at + interval '1 microsecond')::text as next
      from (select ${at}::timestamptz as at) m`
    const { come, next } = row!
    if (!come) return null
    await this.#settle(next)
    const shards = Array.from({ length: this.shards }, (_, shard) => shard)
    const after = await Promise.all(shards.map((shard) => readPositionAt(read, shard, next)))
    return after.map((position) => position - 1)
  }

  /** These positions, a shard left out at its head; null where the log isn't there yet. */
  async positionsOf(asked: readonly (number | undefined)[]): Promise<Positions | null> {
    const heads = await readHeads(this.pools.read)
    if (asked.some((position, shard) => position !== undefined && position > heads[shard]!)) {
      return null
    }
    return heads.map((head, shard) => asked[shard] ?? head)
  }

  /** When the newest of the events at these positions was recorded; null where there are none. */
  async momentOf(positions: Positions): Promise<string | null> {
    const moments = await Promise.all(
      positions.map((position, shard) => readRecordedAt(this.pools.read, shard, position)),
    )
    // All in one form, in which texts are in the order of time.
    return moments.reduce(
      (newest, at) => (at !== null && (newest === null || at > newest) ? at : newest),
      null,
    )
  }

  /** Reads counters of accounts of a kind, and the catalog, as they stood after these events. */
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

  /** Reads rows of usage as they stood after these events. */
  readUsage<Value>(
    sql: Sql | Transaction,
    positions: Positions,
    scope: Scope,
    read: (transaction: Transaction, rows: Fragment) => Promise<Value>,
  ): Promise<Value> {
    return this.#reportingBehind(sql, async (transaction) => {
      const quarters = await readPartialQuarterHours(transaction, positions, scope)
      return read(transaction, asOfUsageRows(transaction, scope, quarters))
    })
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
   * Sees to it that nothing more is recorded before `next`, whatever the clock does. An append
   * takes its time once it has its shard's lock, and no earlier one than the event before it, or
   * than this leaves in the shard's row. Waits for the appends under way where it has to.
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
