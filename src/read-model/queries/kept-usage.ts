import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'

const DAY_MS = 86_400_000

/** Usage is asked for by a unit that is no longer kept, or as of a time of which it is not. */
export class UsageNotKept extends Error {
  override name = 'UsageNotKept'

  constructor(
    /** From when on usage is kept by quarter hours (RFC 3339). */
    readonly from: string,
    readonly asked: 'buckets' | 'as of' | 'quota',
  ) {
    super(`usage before ${from} is kept by days`)
  }
}

/**
 * When usage begins that is kept by quarter hours, by shard (RFC 3339). What began before is kept
 * by days of UTC. Shards of which all is kept by quarter hours are left out.
 */
export type DailyBefore = ReadonlyMap<number, string>

export async function readDailyBefore(sql: Sql | Transaction): Promise<DailyBefore> {
  const rows = await sql<{ shard: number; before: string }[]>`
    select c.shard, ${sql.unsafe(toMicroseconds('c.daily_before'))} as before
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where p.projection = 'usage' and isfinite(c.daily_before)`
  return new Map(rows.map(({ shard, before }) => [shard, before]))
}

/** Throws UsageNotKept unless buckets with these bounds are sums of what is kept. */
export function requireKept(dailyBefore: DailyBefore, bounds: readonly string[]): void {
  for (const from of dailyBefore.values()) {
    const first = Date.parse(from)
    for (const bound of bounds) {
      const at = Date.parse(bound)
      if (at < first && at % DAY_MS !== 0) throw new UsageNotKept(from, 'buckets')
    }
  }
}

/**
 * Throws UsageNotKept if the last event of a shard (recorded at `at`; null before the first) is
 * before what is kept by quarter hours: usage as of then is part of a day.
 */
export function requireKeptAt(dailyBefore: DailyBefore, shard: number, at: string | null): void {
  const from = dailyBefore.get(shard)
  if (from === undefined || (at !== null && Date.parse(at) >= Date.parse(from))) return
  throw new UsageNotKept(from, 'as of')
}

/** Throws UsageNotKept if a quota period began before what is kept by quarter hours. */
export function requireQuarters(
  dailyBefore: DailyBefore,
  periods: readonly { start: string }[],
): void {
  for (const from of dailyBefore.values()) {
    if (periods.some(({ start }) => Date.parse(start) < Date.parse(from)))
      throw new UsageNotKept(from, 'quota')
  }
}
