import type { StoredEvent } from '../../events/event.ts'
import { toEventLine } from '../../events/event-line.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { Hash } from '../merkle/hash.ts'
import { formatProofFile } from '../merkle/proof-file.ts'
import { proveConsistency, proveInclusion } from '../merkle/prove.ts'
import type { SignedTreeHead } from '../merkle/tree-head.ts'
import { readTiles } from './tiles.ts'

/** That a leaf of a shard is in its tree of `size` leaves. Throws MissingTile above the tiles. */
export function readInclusionProof(
  sql: Sql,
  shard: number,
  position: number,
  size: number,
): Promise<Hash[]> {
  return proveInclusion(position, size, (tiles) => readTiles(sql, shard, tiles))
}

/** That a shard's tree of `to` leaves begins with that of `from`. Throws MissingTile. */
export function readConsistencyProof(
  sql: Sql,
  shard: number,
  from: number,
  to: number,
): Promise<Hash[]> {
  return proveConsistency(from, to, (tiles) => readTiles(sql, shard, tiles))
}

/**
 * The receipt of an event: a `.tlog-proof` file with the event itself (as a line, see
 * docs/audit.md) in `extra`, so that who keeps it needs nothing else to show what was recorded.
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
