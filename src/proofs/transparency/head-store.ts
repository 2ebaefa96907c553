import { hashLeaf, toLeaf } from '../../events/leaf.ts'
import { archiveOf } from '../../log/archived.ts'
import { readHead, readLeafEvents } from '../../log/read.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { Frontier } from '../merkle/frontier.ts'
import { equalHashes, HASH_BYTES, type Hash } from '../merkle/hash.ts'
import { readPeaks } from '../merkle/prove.ts'
import { TILE_WIDTH } from '../merkle/tile.ts'
import { openTreeHead, type SignedTreeHead } from '../merkle/tree-head.ts'
import type { KnownTree } from './grow.ts'
import { integrateEvents } from './integrate.ts'
import { keysOfShard, type Origin, originOf, readPersistedHead } from './origin.ts'
import { isMissingRoots, MissingTile, readTiles, readTreeSize } from './tiles.ts'

/** The database does not hold the tree of the last signed tree head. */
export class LogForked extends UserError {
  override name = 'LogForked'

  constructor(head: SignedTreeHead, found: string) {
    super(
      `A tree head of ${head.size} events was signed as ${head.origin}, but ${found}. ` +
        'Continuing would sign a second history, which every auditor can prove. If the database ' +
        'was restored from a backup, restore a newer one, or import a newer archive. If nothing ' +
        'newer is left, end this history with `tallybook key new-origin`: the log goes on under ' +
        'a new name and cites the head that it can not continue.',
    )
  }
}

/**
 * Returns the newest signed tree head of a shard, persisted here or published by another instance,
 * with its tree and last leaf as read from the tiles. Returns null if none was signed. Throws
 * LogForked if the database does not hold that tree or its newest events, and UserError if the head
 * in the data directory is not one of this origin.
 */
export async function openHeadStore(
  sql: Sql,
  origin: Origin,
  shard: number,
  published: SignedTreeHead | null,
): Promise<({ head: SignedTreeHead } & KnownTree) | null> {
  const persisted = await readPersisted(origin, shard)
  const head =
    published !== null && published.size > (persisted?.size ?? -1) ? published : persisted
  if (head === null) return null
  await integrateUpTo(sql, shard, head.size)
  const frontier = await findTree(sql, shard, head)
  const lastLeaf = await recheckLeaves(sql, shard, head)
  return { head, frontier, lastLeaf }
}

async function readPersisted(origin: Origin, shard: number): Promise<SignedTreeHead | null> {
  const note = await readPersistedHead(origin, shard)
  if (note === null) return null
  const opened = openTreeHead(note, keysOfShard(origin, shard))
  if (opened.kind === 'refused' || opened.origin !== originOf(origin.name, shard)) {
    const reason = opened.kind === 'refused' ? opened.reason : `it belongs to ${opened.origin}`
    throw new UserError(
      `The tree head of shard ${shard} in ${origin.folder} is invalid: ${reason}.`,
    )
  }
  const { kind: _, ...head } = opened
  return head
}

/**
 * Adds leaves, and roots of full tiles, until the tree has `size` leaves. A database that lost its
 * last second may have lost leaves and roots but not their events. Leaves added again are compared
 * with the head like all others.
 */
async function integrateUpTo(sql: Sql, shard: number, size: number): Promise<void> {
  for (;;) {
    const isShort = (await readTreeSize(sql, shard)) < size
    if (!isShort && !(await isMissingRoots(sql, shard))) return
    const added = await integrateEvents(sql, shard)
    if (isShort && added === 0) return
  }
}

async function findTree(sql: Sql, shard: number, head: SignedTreeHead): Promise<Frontier> {
  const end = (await readHead(sql, shard)) + 1
  if (end < head.size) {
    throw new LogForked(head, `the log of shard ${shard} has only ${end} events`)
  }
  try {
    const peaks = await readPeaks(head.size, (tiles) => readTiles(sql, shard, tiles))
    const frontier = new Frontier(head.size, peaks)
    if (equalHashes(frontier.root(), head.root)) return frontier
  } catch (error) {
    if (!(error instanceof MissingTile)) throw error
    throw new LogForked(head, `tiles of that tree are missing (${error.message})`)
  }
  throw new LogForked(head, 'the tree of that size in the database has a different root')
}

/**
 * Checks the events of the head's newest tile against its leaves: a backup would have lost these,
 * and others may have taken their place. `verify` checks all events. Those in the archive were
 * compared with the tree before they left, and a service must start without them. Returns the last
 * leaf, or null if the tree is empty.
 */
async function recheckLeaves(sql: Sql, shard: number, head: SignedTreeHead): Promise<Hash | null> {
  if (head.size === 0) return null
  const number = Math.floor((head.size - 1) / TILE_WIDTH)
  const from = number * TILE_WIDTH
  const tile = { level: 0, number, width: head.size - from }
  const [hashes] = await readTiles(sql, shard, [tile])
  const spans = (await archiveOf(sql)?.spans(shard)) ?? []
  const ends = spans.flatMap(({ first, end }) => (first < head.size ? [end] : []))
  const start = Math.min(Math.max(from, ...ends), head.size)
  const events = await readLeafEvents(sql, shard, start, head.size)
  for (let i = start - from; i < tile.width; i++) {
    const leafHash = hashes!.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)
    const event = events[from + i - start]
    if (event && equalHashes(leafHash, hashLeaf(toLeaf(event)))) continue
    throw new LogForked(head, `event ${shard}/${from + i} is not the one that was signed`)
  }
  return Buffer.from(hashes!.subarray(-HASH_BYTES))
}
