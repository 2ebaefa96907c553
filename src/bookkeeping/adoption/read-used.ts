import { toExact } from '../../events/exact.ts'
import type { UnknownKind } from '../../events/unknown.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { toTextArray } from '../../read-model/projections/array.ts'
import { bookkeeping } from '../../read-model/projections/bookkeeping.ts'
import { liveGeneration } from '../../read-model/queries/live-source.ts'
import { type Used, UsedSums } from './used.ts'

/**
 * Reads what was posted under these names by quarter hour and combination, and no act has taken.
 * Returns 'too large' if there are more than `max` rows.
 */
export async function readUsed(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
  max: number,
  shards: number,
): Promise<Used[] | 'too large'> {
  if (names.length === 0) return []
  const generation = liveGeneration(transaction, bookkeeping.name)
  const named = toTextArray(names, String)
  const sums = new UsedSums()
  const rows = await transaction<Record<string, string>[]>`
    select
      r.name, ${transaction.unsafe(toMicroseconds('r.quarter'))} as time,
      r.requests, r.seconds, r.accessed, r.flushes
    from (
      select u.name, u.quarter, sum(u.requests) as requests, sum(u.seconds) as seconds,
        max(u.last_accessed_at) as accessed, sum(u.flushes) as flushes
      from unknown_usage u
      where u.generation = ${generation} and u.kind = ${kind} and u.name = any (${named}::text[])
      group by u.name, u.quarter
      having sum(u.flushes) > 0
      limit ${max + 1}
    ) r`
  for (const { name, time, accessed, requests, seconds, flushes } of rows) {
    const values = [toExact(requests!), toExact(seconds!), toExact(flushes!)] as const
    sums.addSums({ name: name!, time: time!, accessed: Number(accessed) }, values)
  }
  if (sums.size > max) return 'too large'
  const quarters = {
    names: toTextArray(rows, ({ name }) => name!),
    times: toTextArray(rows, ({ time }) => time!),
  }
  // Shard 0 has what acts took, so a combination may have a row in each shard.
  const parts = await transaction<(Record<string, string> & { measures: string[] })[]>`
    select
      u.name, ${transaction.unsafe(toMicroseconds('u.quarter'))} as time, u.combination,
      u.requests, u.seconds, u.measures::text[] as measures
    from unknown_parts u
      join unnest(${quarters.names}::text[], ${quarters.times}::timestamptz[]) as q(name, quarter)
        on q.name = u.name and q.quarter = u.quarter
    where u.generation = ${generation} and u.kind = ${kind}
    limit ${max * shards + 1}`
  if (parts.length > max * shards) return 'too large'
  for (const { name, time, combination, requests, seconds, measures } of parts) {
    sums.addPart({ name: name!, time: time! }, combination!, {
      ...{ requests: toExact(requests!), seconds: toExact(seconds!) },
      measures: measures.map(toExact),
    })
  }
  return sums.size > max ? 'too large' : sums.toRows()
}
