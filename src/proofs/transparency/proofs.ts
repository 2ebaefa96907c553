import type { StoredEvent } from '../../events/event.ts'
import { toEventLine } from '../../events/event-line.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { Hash } from '../merkle/hash.ts'
import { formatProofFile } from '../merkle/proof-file.ts'
import { proveConsistency, proveInclusion } from '../merkle/prove.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import { readTiles } from './tiles.ts'

/**
 * Proves that a leaf of a shard is in its tree of `size` leaves. Throws MissingTile if the tiles do
 * not go that far.
 */
export function readInclusionProof(
  sql: Sql,
  shard: number,
  position: number,
  size: number,
): Promise<Hash[]> {
  return proveInclusion(position, size, (tiles) => readTiles(sql, shard, tiles))
}

/**
 * Proves that a shard's tree of `to` leaves begins with its tree of `from` leaves. Throws
 * MissingTile.
 */
export function readConsistencyProof(
  sql: Sql,
  shard: number,
  from: number,
  to: number,
): Promise<Hash[]> {
  return proveConsistency(from, to, (tiles) => readTiles(sql, shard, tiles))
}

/**
 * Makes the receipt of an event: a `.tlog-proof` file with the event itself in `extra` (as a line,
 * see docs/reference/log-format.md). Its owner needs nothing else to show what was recorded.
 */
export async function makeReceipt(
  sql: Sql,
  event: StoredEvent,
  head: SignedTreeHead,
): Promise<string> {
  const { shard, position } = event
  return formatProofFile({
    extra: toEventLine(event),
    index: position,
    proof: await readInclusionProof(sql, shard, position, head.size),
    head: head.note,
  })
}
