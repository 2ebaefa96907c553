import type { Positions } from '../../events/positions.ts'
import type { UnknownKind } from '../../events/unknown.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toTextArray } from '../../read-model/projections/array.ts'
import { bookkeeping } from '../../read-model/projections/bookkeeping.ts'
import { liveGeneration } from '../../read-model/queries/live-source.ts'
import { lastResharding } from './last-resharding.ts'
import type { Covered, LogScan } from './scan-log.ts'

/**
 * Returns the parts of the log through `heads` to look for names in: of each shard that does not
 * keep one apart, because it has seen too many.
 */
export async function findScans(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
  heads: Positions,
): Promise<LogScan[]> {
  const generation = liveGeneration(transaction, bookkeeping.name)
  const full = await transaction<{ shard: number }[]>`
    select k.shard
    from unknown_keys k
    where k.shard in (select s.shard from shards s)
      and k.generation = ${generation} and k.kind = ${kind} and k.name = ''
      and k.flushes > 0
    order by k.shard`
  const scans: LogScan[] = []
  for (const { shard } of full) {
    const kept = await transaction<{ name: string }[]>`
      select k.name
      from unknown_keys k
      where k.shard = ${shard} and k.generation = ${generation} and k.kind = ${kind}
        and k.name = any (${toTextArray(names, String)}::text[])`
    const isKept = new Set(kept.map(({ name }) => name))
    const missing = names.filter((name) => !isKept.has(name))
    if (missing.length === 0) continue
    scans.push({
      ...{ shard, kind, after: -1, through: heads[shard]! },
      names: await readCovered(transaction, kind, missing, shard),
      reversed: await readReversed(transaction, shard),
    })
  }
  return scans
}

/** Returns what earlier adoptions have covered of each name in a shard. */
async function readCovered(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
  shard: number,
): Promise<Map<string, Covered>> {
  const generation = liveGeneration(transaction, bookkeeping.name)
  const covered = new Map(names.map((name) => [name, { through: -1, until: '' }]))
  const acts = await transaction<
    { position: string; head: string | null; until: string; moved: boolean }[]
  >`
    select
      e.position, e.payload->'heads'->>${shard}::integer as head, e.payload->>'until' as until,
      e.position < ${lastResharding(transaction)} as moved
    from acts a
      join events e on e.shard = 0 and e.position = a.position
    where a.generation = ${generation} and a.type = 'UnknownKeysAdopted'`
  for (const { position, head, until, moved } of acts) {
    const taken = await transaction<{ name: string }[]>`
      select t.name
      from unknown_taken t
      where t.generation = ${generation} and t.position = ${position} and t.kind = ${kind}
        and t.name = any (${toTextArray(names, String)}::text[])`
    for (const { name } of taken) {
      const before = covered.get(name)!
      // Positions from before the log was resharded are those of another log.
      if (moved) before.until = [before.until, until].sort().at(-1)!
      else before.through = Math.max(before.through, Number(head))
    }
  }
  return covered
}

async function readReversed(transaction: Transaction, shard: number): Promise<Set<number>> {
  const rows = await transaction<{ position: string }[]>`
    select a.reversed_position as position
    from acts a
    where a.generation = ${liveGeneration(transaction, bookkeeping.name)}
      and a.reversed_shard = ${shard}`
  return new Set(rows.map(({ position }) => Number(position)))
}
