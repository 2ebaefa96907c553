import type { Sql } from '../../platform/postgres/pool.ts'
import { openTreeHead, type SignedTreeHead } from '../merkle/tree-head.ts'
import { keysOfShard, type Origin, originOf } from './origin.ts'

/**
 * Publishes a tree head to the other instances. An older head replaces none: an instance that froze
 * between signing and publishing would take back what the others have passed.
 */
export async function publishHead(
  sql: Sql,
  shard: number,
  { origin, size, note }: SignedTreeHead,
): Promise<void> {
  await sql`
    insert into tree_heads as h (shard, origin, size, note)
    values (${shard}, ${origin}, ${size}, ${note})
    on conflict (shard, origin) do update
    set size = excluded.size, note = excluded.note
    where h.size <= excluded.size`
}

/**
 * Reads the tree heads that instances of this origin have published, by shard. Write access to the
 * database suffices to insert others there, but not to sign them: heads that none of the keys has
 * signed are left out. `known` returns this instance's head of a shard, which is not verified
 * again.
 */
export async function readPublished(
  sql: Sql,
  origin: Origin,
  known: (shard: number) => SignedTreeHead | undefined = () => undefined,
): Promise<ReadonlyMap<number, SignedTreeHead>> {
  const rows = await sql<{ shard: number; origin: string; note: string }[]>`
    select h.shard, h.origin, h.note from tree_heads h`
  const heads = new Map<number, SignedTreeHead>()
  for (const { shard, origin: name, note } of rows) {
    if (name !== originOf(origin.name, shard)) continue
    const own = known(shard)
    if (own?.note === note) {
      heads.set(shard, own)
      continue
    }
    const opened = openTreeHead(note, keysOfShard(origin, shard))
    if (opened.kind !== 'signed') continue
    const { kind: _, ...head } = opened
    heads.set(shard, head)
  }
  return heads
}
