import type { UnknownKind } from '../events/unknown.ts'
import { mayMove } from '../platform/postgres/moves-lock.ts'
import { type Fragment, type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import { toTextArray } from '../read-model/projections/array.ts'

/** Keys whose rows are deleted in one transaction: some 5,000 rows of a day. */
const NAMES_AT_ONCE = 50

/** Shard 0, to whose checkpoint the boundary belongs. */
const SHARD = 0

type Boundary = { before: string; deleted: string }

/**
 * Deletes rows of unknown keys by quarter hour that count before usage is kept by these, in any
 * shard. An adoption of a key that was seen before then reads the log instead: so the boundary is
 * moved first, and the rows are deleted afterwards. If killed, the next call continues.
 */
export async function forgetUnknown(sql: Sql, isStopped: () => boolean): Promise<void> {
  const [live] = await sql<{ generation: number }[]>`
    select p.generation from projections p where p.projection = 'bookkeeping'`
  const { generation } = live!
  await advance(sql, generation)
  const { before, deleted } = await readUnknownBefore(sql, generation)
  if (deleted === before || !(await deleteForgotten(sql, generation, before, isStopped))) return
  await sql`
    update checkpoints c
    set unknown_deleted = ${before}::timestamptz
    where ${isOf(sql, generation)}`
}

/** Readers see the boundary at once. It does not move while a verification runs. */
async function advance(sql: Sql, generation: number): Promise<void> {
  await transact(sql, '', async (transaction) => {
    if (!(await mayMove(transaction, SHARD))) return
    await transaction`
      update checkpoints c
      set unknown_before = b.before
      from (
        select max(u.daily_before) as before
        from checkpoints u
          join projections p on p.projection = u.projection and p.generation = u.generation
        where u.projection = 'usage'
      ) b
      where ${isOf(transaction, generation)} and c.unknown_before < b.before`
  })
}

/** Returns how far rows of a generation of bookkeeping are not needed, and were deleted. */
export async function readUnknownBefore(
  sql: Sql | Transaction,
  generation: number,
): Promise<Boundary> {
  const [row] = await sql<Boundary[]>`
    select c.unknown_before::text as before, c.unknown_deleted::text as deleted
    from checkpoints c
    where ${isOf(sql, generation)}`
  return row ?? { before: '-infinity', deleted: '-infinity' }
}

/**
 * Deletes all rows that are not needed, but those that are being changed. Returns false if it was
 * stopped.
 */
export async function deleteForgotten(
  sql: Sql,
  generation: number,
  before: string,
  isStopped: () => boolean = () => false,
): Promise<boolean> {
  const shards = await sql<{ shard: number }[]>`select s.shard from shards s order by s.shard`
  for (const { shard } of shards) {
    for (let last: Key = { kind: 'api_key', name: '' }; ; ) {
      const found = await findForgotten(sql, generation, before, { shard, last })
      if (found.length === 0) break
      if (isStopped()) return false
      await deleteRows(sql, generation, before, found)
      last = found.at(-1)!
    }
  }
  return true
}

/** True if there are rows that are not needed. */
export async function hasForgotten(
  transaction: Transaction,
  generation: number,
  before: string,
): Promise<boolean> {
  const shards = await transaction<{ shard: number }[]>`select s.shard from shards s`
  for (const { shard } of shards) {
    const last: Key = { kind: 'api_key', name: '' }
    const found = await findForgotten(transaction, generation, before, { shard, last })
    if (found.length > 0) return true
  }
  return false
}

type Key = { kind: UnknownKind; name: string }

/** Returns the next keys that a shard saw before a time, and that have rows which count before. */
function findForgotten(
  sql: Sql | Transaction,
  generation: number,
  before: string,
  { shard, last }: { shard: number; last: Key },
): Promise<Key[]> {
  return sql<Key[]>`
    select k.kind, k.name
    from unknown_keys k
    where k.shard = ${shard} and k.generation = ${generation}
      and (k.kind, k.name) > (${last.kind}::text, ${last.name}::text)
      and k.first_seen < ${before}::timestamptz
      and exists (
        select
        from unknown_usage u
        where u.generation = ${generation} and u.kind = k.kind and u.name = k.name
          and u.quarter < ${before}::timestamptz
      )
    order by k.kind, k.name
    limit ${NAMES_AT_ONCE}`
}

/** Waits for no fold, so that none that waits for this can be in its way. */
async function deleteRows(
  sql: Sql,
  generation: number,
  before: string,
  keys: readonly Key[],
): Promise<void> {
  const kinds = toTextArray(keys, ({ kind }) => kind)
  const names = toTextArray(keys, ({ name }) => name)
  await transact(sql, '', async (transaction) => {
    // Parts first: they are found by their usage.
    for (const table of ['unknown_parts', 'unknown_usage']) {
      await transaction`
        delete from ${transaction(table)} u
        using (
          select f.ctid
          from ${transaction(table)} f
            join unnest(${kinds}::text[], ${names}::text[]) as n(kind, name)
              on n.kind = f.kind and n.name = f.name
          where f.generation = ${generation} and f.quarter < ${before}::timestamptz
          for update of f skip locked
        ) f
        where u.ctid = f.ctid`
    }
  })
}

const isOf = (sql: Sql | Transaction, generation: number): Fragment => sql`
  c.shard = ${SHARD} and c.projection = 'bookkeeping' and c.generation = ${generation}`
