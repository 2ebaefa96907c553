import type { Sql } from '../../platform/postgres/pool.ts'
import { openTreeHead, type SignedTreeHead } from '../merkle/tree-head.ts'
import { keysOfShard, type Origin, originOf } from './origin.ts'

/**
 * Hands a tree head to the other instances. An older one takes the place of none: whoever froze
 * between signing and this would hand out what the others have passed.
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
 * The tree heads that instances of this origin have published, by shard. Whoever owns the database
 * can write others there, but not sign them: one that none of the keys here has signed is left out.
 * `known`: what this instance has of a shard, which isn't verified once more.
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
