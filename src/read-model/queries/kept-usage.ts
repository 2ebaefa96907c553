import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { GRAINS, type Grain } from '../projections/rolled-up.ts'

const DAY_MS = 86_400_000

/** Usage is asked for by a unit that is no longer kept, or as of a time of which it is not. */
export class UsageNotKept extends Error {
  override name = 'UsageNotKept'

  constructor(
    readonly boundary: Boundary,
    readonly asked: 'buckets' | 'as of' | 'quota',
  ) {
    super(`usage before ${boundary.before} is kept by ${boundary.grain}s`)
  }
}

/** What began before a time (RFC 3339) is kept by days, or by months, of UTC in a shard. */
export type Boundary = { shard: number; grain: Grain; before: string }

/** Reads these boundaries, those of months first. Shards that keep all quarter hours have none. */
export async function readBoundaries(sql: Sql | Transaction): Promise<Boundary[]> {
  return sql<Boundary[]>`
    select c.shard, b.grain, ${sql.unsafe(toMicroseconds('b.before'))} as before
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
      cross join lateral (
        values ('month', c.monthly_before), ('day', c.daily_before)
      ) b(grain, before)
    where p.projection = 'usage' and isfinite(b.before)
    order by b.grain desc, c.shard`
}

/** Returns the units by which some usage is kept. */
export const grainsOf = (boundaries: readonly Boundary[]): Grain[] =>
  GRAINS.filter((one) => boundaries.some(({ grain }) => grain === one))

/** Throws UsageNotKept unless buckets with these bounds are sums of what is kept. */
export function requireKept(kept: readonly Boundary[], bounds: readonly string[]): void {
  for (const boundary of kept) {
    const first = Date.parse(boundary.before)
    for (const bound of bounds) {
      const at = Date.parse(bound)
      if (at < first && !isStart(boundary.grain, at)) throw new UsageNotKept(boundary, 'buckets')
    }
  }
}

const isStart = (grain: Grain, at: number) =>
  at % DAY_MS === 0 && (grain === 'day' || new Date(at).getUTCDate() === 1)

/**
 * Throws UsageNotKept if the last event of a shard (recorded at `at`; null before the first) is
 * before what is kept by quarter hours: usage as of then is part of a day.
 */
export function requireKeptAt(kept: readonly Boundary[], shard: number, at: string | null): void {
  const days = kept.find((one) => one.shard === shard && one.grain === 'day')
  if (days === undefined || (at !== null && Date.parse(at) >= Date.parse(days.before))) return
  throw new UsageNotKept(days, 'as of')
}

/** Throws UsageNotKept if a quota period began before what is kept by quarter hours. */
export function requireQuarters(kept: readonly Boundary[], periods: { start: string }[]): void {
  for (const days of kept.filter(({ grain }) => grain === 'day')) {
    const first = Date.parse(days.before)
    if (periods.some(({ start }) => Date.parse(start) < first))
      throw new UsageNotKept(days, 'quota')
  }
}
