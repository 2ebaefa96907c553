import { hashLeaf, toLeaf } from '../events/leaf.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from '../proofs/integrity/problem.ts'
import { checkThin } from '../proofs/integrity/thin.ts'
import type { ArchiveSample } from '../proofs/integrity/verify.ts'
import { equalHashes, HASH_BYTES } from '../proofs/merkle/hash.ts'
import { TILE_WIDTH } from '../proofs/merkle/tile.ts'
import { SegmentError } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import { Segment } from '../segment-files/read.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { checkListed } from './listed.ts'
import { readLoaded } from './load.ts'
import { type ArchivedSegment, readArchived } from './registry.ts'

/** Which part of the archive a sample is: every night has another. */
export type SampleRange = {
  /** Days since 1970, in UTC. */
  night: number
  /** Blocks that are read in one night. */
  maxBlocks: number
}

type Sources = { sql: Sql; loading: Sql; store: SegmentStore | null; signal: AbortSignal }

/**
 * Checks a sample of the archive: some blocks, one of each file in turn, read from the store and
 * not from a cache. Each is compared with the tree of the log, and with what the database still
 * has; each file it opens with the list. The nights together read every block of every file.
 */
export async function checkSample(sources: Sources, range: SampleRange): Promise<ArchiveSample> {
  const archived = await readArchived(sources.sql)
  const found: ArchiveSample = { events: 0, problems: [] }
  for (const [i, turns] of takeTurns(archived.length, range)) {
    sources.signal.throwIfAborted()
    const segment = archived[i]!
    found.problems.push(...(await checkListed(sources.sql, segment, sources.store)))
    if (sources.store !== null) await checkBlocks(sources, segment, turns, found)
    if (found.problems.length > MAX_PROBLEMS) break
  }
  return { ...found, problems: found.problems.slice(0, MAX_PROBLEMS) }
}

/** Returns the files of a night, each with its turns: how often all files were read before. */
export function takeTurns(files: number, { night, maxBlocks }: SampleRange): Map<number, number[]> {
  const turns = new Map<number, number[]>()
  if (files === 0) return turns
  for (let i = night * maxBlocks; i < (night + 1) * maxBlocks; i++) {
    const [file, turn] = [i % files, Math.floor(i / files)]
    turns.set(file, [...(turns.get(file) ?? []), turn])
  }
  return turns
}

async function checkBlocks(
  { sql, loading, store, signal }: Sources,
  { shard, first, end, fileName, fileBytes: bytes, indexSha256 }: ArchivedSegment,
  turns: readonly number[],
  found: ArchiveSample,
): Promise<void> {
  try {
    const file = new CheckedFile(store!, fileName)
    const segment = await Segment.open(file, { shard, first, end, bytes, indexSha256 })
    const { blocks } = segment.index
    const chosen = new Set(turns.map((turn) => turn % blocks.length))
    for (const number of chosen) {
      signal.throwIfAborted()
      const { first_position: from, events } = blocks[number]!
      const chunk = { shard, after: from - 1, through: from + events - 1 }
      const leaves = await readLeaves(sql, chunk)
      for await (const page of segment.readPages(chunk)) {
        for (const event of page) {
          const leaf = leaves(event.position)
          if (leaf !== null && equalHashes(hashLeaf(toLeaf(event)), leaf)) continue
          found.problems.push({
            ...{ check: 'archive', at: `${shard}/${event.position}` },
            ...{ expected: 'the event in the tree of the log', found: 'another' },
          })
        }
        // A page may be a part of the block.
        const part = { shard, after: page[0]!.position - 1, through: page.at(-1)!.position }
        const thin = await readLoaded(loading, page, (source) => checkThin(sql, source, part))
        found.problems.push(...thin)
      }
      found.events += events
    }
  } catch (error) {
    if (!(error instanceof SegmentError)) throw error
    const at = `archived_segments ${shard}/${first}`
    const problem: Omit<Problem, 'found'> = { check: 'archive', at, expected: READABLE }
    found.problems.push({ ...problem, found: error.failure.reason })
  }
}

const READABLE = 'a file that can be read'

/** Reads the leaves of a range of the tree; returns null for one that is not there. */
async function readLeaves(
  sql: Sql,
  { shard, after, through }: { shard: number; after: number; through: number },
): Promise<(position: number) => Uint8Array | null> {
  const rows = await sql<{ number: string; hashes: Buffer }[]>`
    select t.number, t.hashes
    from tiles t
    where t.shard = ${shard} and t.level = 0
      and t.number between ${tileOf(after + 1)} and ${tileOf(through)}`
  const tiles = new Map(rows.map(({ number, hashes }) => [Number(number), hashes]))
  return (position) => {
    const at = HASH_BYTES * (position % TILE_WIDTH)
    const tile = tiles.get(tileOf(position))
    const leaf = tile?.subarray(at, at + HASH_BYTES)
    return leaf?.length === HASH_BYTES ? leaf : null
  }
}

const tileOf = (position: number) => Math.floor(position / TILE_WIDTH)
