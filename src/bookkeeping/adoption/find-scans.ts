import type { UnknownKind } from '../../events/unknown.ts'
import { readPositionAt } from '../../log/position-at.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../../read-model/projections/array.ts'
import { bookkeeping } from '../../read-model/projections/bookkeeping.ts'
import { liveGeneration } from '../../read-model/queries/live-source.ts'
import { readLastResharding } from './last-resharding.ts'
import type { Covered, ScanRequest } from './log-scan.ts'

/**
 * Names that the log of a shard has to be read for. They are not kept apart in some shard, which
 * has seen too many, or their oldest rows are no longer kept: what acts took of them there can't be
 * told from what they took elsewhere.
 */
export type Unlisted = {
  shard: number
  kind: UnknownKind
  names: string[]
  /** When the shard first saw those names that it keeps apart; null if it keeps none. */
  firstSeen: string | null
  /** True if the shard keeps all of them apart. */
  areKept: boolean
}

/** Returns which of these names the log is read for, for each shard that may have some. */
export async function findUnlisted(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
): Promise<Unlisted[]> {
  const generation = liveGeneration(transaction, bookkeeping.name)
  const rows = await transaction<
    { shard: number; name: string; first_seen: string; is_old: boolean }[]
  >`
    select k.shard, k.name, k.first_seen::text as first_seen,
      k.first_seen < ${await readUnknownBefore(transaction)}::timestamptz as is_old
    from unknown_keys k
    where k.shard in (select s.shard from shards s)
      and k.generation = ${generation} and k.kind = ${kind}
      and k.name = any (${toTextArray(['', ...names], String)}::text[])
      and (k.name <> '' or k.flushes > 0)
    order by k.shard, k.first_seen`
  const byShard = Map.groupBy(rows, ({ shard }) => shard)
  const keptIn = new Map(
    Array.from(byShard, ([shard, kept]) => [shard, new Set(kept.map(({ name }) => name))]),
  )
  const full = [...keptIn.values()].filter((kept) => kept.has(''))
  const old = new Set(rows.flatMap(({ name, is_old }) => (is_old ? [name] : [])))
  const unlisted = names.filter((name) => old.has(name) || full.some((kept) => !kept.has(name)))
  return Array.from(keptIn, ([shard, kept]) => {
    const own = kept.has('') ? unlisted : unlisted.filter((name) => kept.has(name))
    const isOwn = new Set(own)
    const first = byShard.get(shard)!.find(({ name }) => isOwn.has(name))
    const areKept = own.every((name) => kept.has(name))
    return { shard, kind, names: own, firstSeen: first?.first_seen ?? null, areKept }
  }).filter((one) => one.names.length > 0)
}

/** Returns the time before which quarter hours of unknown keys may have been deleted. */
async function readUnknownBefore(transaction: Transaction): Promise<string> {
  const [row] = await transaction<{ before: string }[]>`
    select c.unknown_before::text as before
    from checkpoints c
    where c.shard = 0 and c.projection = ${bookkeeping.name}
      and c.generation = ${liveGeneration(transaction, bookkeeping.name)}`
  return row!.before
}

/** Returns what has to be read of the log for names that are not kept apart. */
export async function toScanRequest(
  transaction: Transaction,
  { shard, kind, names, firstSeen, areKept }: Unlisted,
): Promise<ScanRequest> {
  const covered = await readCovered(transaction, kind, names, shard)
  const through = Math.min(...Array.from(covered.values(), (by) => by.through))
  const first = Math.min(
    firstSeen === null ? Infinity : await readPositionAt(transaction, shard, firstSeen),
    areKept ? Infinity : await readFullAt(transaction, shard, kind),
  )
  return {
    ...{ shard, kind, names: covered },
    after: Math.max(through, first - 1),
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
  const resharded = await readLastResharding(transaction)
  const acts = await transaction<
    { position: string; head: string | null; until: string; moved: boolean }[]
  >`
    select
      e.position, e.payload->'heads'->>${shard}::integer as head, e.payload->>'until' as until,
      e.position < ${resharded} as moved
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
