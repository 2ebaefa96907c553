import type { UnknownKind } from '../../events/unknown.ts'
import { readPositionAt } from '../../log/read.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../../read-model/projections/array.ts'
import { bookkeeping } from '../../read-model/projections/bookkeeping.ts'
import { liveGeneration } from '../../read-model/queries/live-source.ts'
import { lastResharding } from './last-resharding.ts'
import type { Covered, ScanRequest } from './log-scan.ts'

/** Names that a shard does not keep apart, because it has seen too many. */
export type Unlisted = { shard: number; kind: UnknownKind; names: string[] }

/** Returns which of these names are not kept apart, for each shard with such names. */
export async function findUnlisted(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
): Promise<Unlisted[]> {
  const generation = liveGeneration(transaction, bookkeeping.name)
  const full = await transaction<{ shard: number }[]>`
    select k.shard
    from unknown_keys k
    where k.shard in (select s.shard from shards s)
      and k.generation = ${generation} and k.kind = ${kind} and k.name = ''
      and k.flushes > 0
    order by k.shard`
  const unlisted: Unlisted[] = []
  for (const { shard } of full) {
    const kept = await transaction<{ name: string }[]>`
      select k.name
      from unknown_keys k
      where k.shard = ${shard} and k.generation = ${generation} and k.kind = ${kind}
        and k.name = any (${toTextArray(names, String)}::text[])`
    const isKept = new Set(kept.map(({ name }) => name))
    const missing = names.filter((name) => !isKept.has(name))
    if (missing.length > 0) unlisted.push({ shard, kind, names: missing })
  }
  return unlisted
}

/** Returns what has to be read of the log for names that are not kept apart. */
export async function toScanRequest(
  transaction: Transaction,
  { shard, kind, names }: Unlisted,
): Promise<ScanRequest> {
  const covered = await readCovered(transaction, kind, names, shard)
  const through = Math.min(...Array.from(covered.values(), (by) => by.through))
  const fullAt = await readFullAt(transaction, shard, kind)
  return {
    ...{ shard, kind, names: covered },
    after: Math.max(through, fullAt - 1),
    reversed: await readReversed(transaction, shard),
  }
}

/**
 * Returns a position before which no flush names a key that is not kept apart: that of the flush
 * with the last one that is.
 */
async function readFullAt(
  transaction: Transaction,
  shard: number,
  kind: UnknownKind,
): Promise<number> {
  const [row] = await transaction<{ last: string }[]>`
    select max(k.first_seen)::text as last
    from unknown_keys k
    where k.shard = ${shard}
      and k.generation = ${liveGeneration(transaction, bookkeeping.name)} and k.kind = ${kind}
      and k.name <> ''`
  return readPositionAt(transaction, shard, row!.last)
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
  const taken = await transaction<{ position: string; name: string }[]>`
    select t.position, t.name
    from unknown_taken t
    where t.generation = ${generation} and t.kind = ${kind}
      and t.name = any (${toTextArray(names, String)}::text[])`
  if (taken.length === 0) return covered
  const positions = [...new Set(taken.map(({ position }) => Number(position)))]
  const acts = await transaction<
    { position: string; head: string | null; until: string; moved: boolean }[]
  >`
    select
      e.position, e.payload->'heads'->>${shard}::integer as head, e.payload->>'until' as until,
      e.position < ${lastResharding(transaction)} as moved
    from acts a
      join events e on e.shard = 0 and e.position = a.position
    where a.generation = ${generation} and a.type = 'UnknownKeysAdopted'
      and a.position = any (${toArray(positions, Number)}::bigint[])`
  const byPosition = new Map(acts.map((act) => [act.position, act]))
  for (const { position, name } of taken) {
    const act = byPosition.get(position)
    // A reversal, which is no adoption.
    if (act === undefined) continue
    const before = covered.get(name)!
    // Positions from before the log was resharded are those of another log.
    if (act.moved) before.until = [before.until, act.until].sort().at(-1)!
    else before.through = Math.max(before.through, Number(act.head))
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
