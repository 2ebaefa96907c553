import { randomBytes } from 'node:crypto'
import type { StoredEvent } from '../events/event.ts'
import { selectEvents } from '../log/read.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { formatHash } from '../proofs/merkle/hash.ts'
import { proveConsistency, readPeaks, readRoot } from '../proofs/merkle/prove.ts'
import type { SignedTreeHead } from '../proofs/merkle/tree-head.ts'
import { readTiles } from '../proofs/transparency/tiles.ts'
import type { SegmentFailure } from '../segment-files/failure.ts'
import { putSegment } from '../segment-files/put.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import type { SegmentPlan } from '../segment-files/write.ts'

/** A full segment of a shard, from `first` to `end`, exclusive. */
export type FullSegment = { shard: number; first: number; end: number }

/** The result of writing a segment: its file is in the archive and verified, or why it is not. */
export type WriteResult = { kind: 'written' } | { kind: 'failed'; failure: SegmentFailure }

export type WriteOptions = {
  /** Reads the log, and as the owner records what was written. */
  sql: Sql
  owner: Sql
  store: SegmentStore
  /** A signed head of a tree that contains the segment, for the file; null for none. */
  head: SignedTreeHead | null
  signal?: AbortSignal
}

/** Maximum size of a read of the log. */
const PAGE = { rows: 2_000, bytes: 4 * 1024 * 1024 }

/**
 * Writes the file of a segment to the archive, reads it back, compares its roots with the tiles of
 * the log, and records it. Its leaves must be in the tree. Each attempt has a name of its own: an
 * upload that was given up may still appear. Rejects with UnfitEvent if the log is damaged there.
 */
export async function writeSegment(
  segment: FullSegment,
  { sql, owner, store, head, signal }: WriteOptions,
): Promise<WriteResult> {
  const { shard, first, end } = segment
  const tiles = (asked: Parameters<typeof readTiles>[2]) => readTiles(sql, shard, asked)
  const peaks = await readPeaks(first, tiles)
  const name = nameFile(segment)
  const plan: SegmentPlan = { shard, first, end, origin: head?.origin ?? null, peaks }
  if (head !== null) {
    plan.signedHead = { note: head.note, proof: await proveConsistency(end, head.size, tiles) }
  }
  const put = await putSegment(store, name, plan, readPages(sql, segment, signal))
  if (put.kind === 'exists') return failed(`${name} exists already`)
  if (put.kind === 'failed') {
    await store.remove(name)
    return put
  }
  const { bytes, indexSha256, index } = put
  // It was read back, and its events make this root.
  if (index.tree.root !== formatHash(await readRoot(end, tiles))) {
    await store.remove(name)
    return failed(`${name} has another root than the tree of the log`)
  }
  await owner`
    insert into archived_segments (
      shard, first_position, end_position, file_name, file_bytes, index_sha256,
      first_recorded_at, last_recorded_at, written_at
    )
    values (
      ${shard}, ${first}, ${end}, ${name}, ${bytes}, decode(${indexSha256}, 'hex'),
      ${index.blocks[0]!.first_recorded_at}, ${index.blocks.at(-1)!.last_recorded_at},
      clock_timestamp()
    )
    on conflict (shard, first_position) do nothing`
  return { kind: 'written' }
}

/** `shard-0/0-524287-5d41402abc4b.segment` */
const nameFile = ({ shard, first, end }: FullSegment) =>
  `shard-${shard}/${first}-${end - 1}-${randomBytes(6).toString('hex')}.segment`

async function* readPages(
  sql: Sql,
  { shard, first, end }: FullSegment,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredEvent[]> {
  for (let after = first - 1; after < end - 1; ) {
    signal?.throwIfAborted()
    const events = await selectEvents(sql, { shard, after, through: end - 1 }, PAGE)
    if (events.length === 0) return
    yield events
    after = events.at(-1)!.position
  }
}

const failed = (reason: string): WriteResult => ({
  kind: 'failed',
  failure: { kind: 'malformed', reason },
})
