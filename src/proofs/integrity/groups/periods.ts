import { actOf } from '../../../events/act.ts'
import type { DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Exact } from '../../../events/exact.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../../platform/postgres/timestamp.ts'
import { MAX_PROBLEMS, type Problem } from '../problem.ts'
import type { Target } from '../tables.ts'

/** Rows that are fetched at once. */
const ROWS_AT_ONCE = 1_000

/** `timely` is the sum of the key's rows of usage since `start`. */
type Row = { token_hash: string; start: string; quota_used: string; timely: string }

/**
 * Checks what token keys used since their quota periods began. Rows of usage are compared with the
 * log, so it is enough that these are their sums, and those of what acts and late flushes counted.
 */
export class PeriodRows {
  /** The quarter hours in which quota periods count acts, by position; null for resets. */
  readonly #quarters = new Map<number, string | null>()
  /** What is backdated of each key: how much of its quota, by when it counts (ms since 1970). */
  readonly #late = new Map<string, Map<number, bigint>>()

  add(event: Event | null, position: number, recordedAt: string): void {
    const act = event && actOf(event, recordedAt)
    if (act === null || act.type === 'ShardsChanged') return
    this.#quarters.set(position, act.type === 'QuotaReset' ? null : act.quarter)
  }

  /** Adds rows of backdated usage; acts in them must have been added. */
  addBackdated(rows: Iterable<readonly DigestValue[]>): void {
    for (const row of rows) {
      const [hash, bucket, position, , , quota] = row as [string, string, number, ...Exact[]]
      const quarter = bucket === '-infinity' ? this.#quarters.get(position) : bucket
      if (quarter == null) continue
      const counts = this.#late.get(hash) ?? new Map<number, bigint>()
      this.#late.set(hash, counts)
      const at = Date.parse(quarter)
      counts.set(at, (counts.get(at) ?? 0n) + BigInt(quota!))
    }
  }

  /**
   * Compares the rows of a shard, if readers use them; not those of periods that began before what
   * is kept by quarter hours, and are over. All its backdated usage must be added.
   */
  async compare(sql: Transaction, { shard, generation }: Target): Promise<Problem[]> {
    const rows = sql<Row[]>`
      select
        q.token_hash, ${sql.unsafe(toMicroseconds('q.start'))} as start, q.quota_used::text,
        coalesce(sum(u.quota_used), 0)::text as timely
      from key_period_usage q
        join checkpoints c on c.shard = q.shard and c.generation = q.generation
          and c.projection = 'usage' and c.periods_position = c.position
          and q.start >= c.daily_before
        left join key_usage u on u.shard = q.shard and u.generation = q.generation
          and u.token_hash = q.token_hash and u.quarter >= q.start
      where q.shard = ${shard} and q.generation = ${generation}
      group by q.token_hash, q.start, q.quota_used`
    const problems: Problem[] = []
    for await (const some of rows.cursor(ROWS_AT_ONCE)) {
      for (const { token_hash, start, quota_used, timely } of some) {
        let used = BigInt(timely)
        for (const [at, quota] of this.#late.get(token_hash) ?? []) {
          if (at >= Date.parse(start)) used += quota
        }
        if (String(used) === quota_used || problems.length >= MAX_PROBLEMS) continue
        problems.push({
          check: 'refold',
          at: `key_period_usage ${shard}/${token_hash}`,
          expected: `{"quota_used":${used}}`,
          found: `{"quota_used":${quota_used}}`,
        })
      }
    }
    return problems
  }
}
