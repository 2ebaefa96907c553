import { type Fragment, type Pools, type Transaction, transact } from '../db/pool.ts'
import type { Positions } from '../events/positions.ts'
import { readHeads, readPositionAt } from '../log/read.ts'
import { pastSource } from '../projections/past-source.ts'
import { pastUsageRows } from '../projections/past-usage-rows.ts'
import type { Source } from '../projections/source.ts'
import type { UsageOf } from '../projections/usage-rows.ts'
import { readPast, type Wanted } from './past.ts'
import { readPartialQuarters } from './past-usage.ts'

/** Milliseconds in which an append has ended, with or without success. */
const APPEND_MS = 40_000

/**
 * Reads of the past. They cost the same at any age, and are the one kind of read that looks into
 * the log, for a bounded number of events.
 */
export class History {
  constructor(
    private readonly pools: Pools,
    readonly shards: number,
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

  /** Reads the wanted counters, and the catalog, as they stood after these events. */
  read<Value>(
    positions: Positions,
    wanted: Wanted,
    read: (transaction: Transaction, source: Source) => Promise<Value>,
  ): Promise<Value> {
    return this.#transact(async (transaction) => {
      const past = await readPast(transaction, positions, wanted)
      return read(transaction, pastSource(transaction, past))
    })
  }

  /** Reads rows of usage as they stood after these events. */
  readUsage<Value>(
    positions: Positions,
    of: UsageOf,
    read: (transaction: Transaction, rows: Fragment) => Promise<Value>,
  ): Promise<Value> {
    return this.#transact(async (transaction) => {
      const quarters = await readPartialQuarters(transaction, positions, of)
      return read(transaction, pastUsageRows(transaction, of, quarters))
    })
  }

  #transact<Value>(run: (transaction: Transaction) => Promise<Value>): Promise<Value> {
    return transact(this.pools.read, 'isolation level repeatable read read only', run)
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
