import { toLeaf } from '../../events/leaf.ts'
import type { Positions } from '../../events/positions.ts'
import { SHARDS_CHANGED_KEY, type ShardsChange } from '../../events/statement.ts'
import { appendServiceEvent } from '../../log/append-event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { checkMerged } from '../check.ts'
import type { ImportOptions } from '../import.ts'
import { fillEmptyLog, Inserts, refuse } from '../insert.ts'
import { setCatalog } from '../set-catalog.ts'
import { checkSignedHeads, readSignedHeads, type SignedHeads } from '../transparency.ts'
import { ShardPlacement } from './placement.ts'
import { SignedTrees } from './signed-trees.ts'

export type ReshardOptions = ImportOptions & {
  /** Of the log; another number than the archive's. */
  shards: number
  /** Of the archive's manifest, in hex. */
  manifestSha256: string
}

/** Where the log ends then, and how many statements about the old log have no place in it. */
export type Resharded = { positions: Positions; skipped: number }

/**
 * As `importArchive`, into a log of another number of shards (deal.ts). Behind what was dealt to it
 * each shard gets a `ShardsChanged` event, in the same transaction. Where the archive is signed its
 * events have to be those of its tree heads: these are cited, and nothing else tells what was
 * before. Memory is bounded, however many shards there are and were.
 */
export async function reshardArchive(options: ReshardOptions): Promise<Resharded> {
  const { directory, manifest, shards, signal } = options
  await checkSignedHeads(directory, manifest, refuse)
  const signed = await readSignedHeads(directory, manifest)
  return fillEmptyLog(options.sql, shards, async (transaction) => {
    const placement = new ShardPlacement(shards)
    const catalogPosition = await insertResharded(transaction, options, placement, signed)
    await setCatalog(transaction, catalogPosition)
    const positions: number[] = []
    for (let shard = 0; shard < shards; shard++) {
      const payload = stateChange(options, placement, signed, shard)
      const statement = { type: 'ShardsChanged', payload } as const
      const said = await appendServiceEvent(transaction, shard, statement, SHARDS_CHANGED_KEY)
      positions.push(said.position)
    }
    signal.throwIfAborted()
    return { positions, skipped: placement.skipped }
  })
}

/** Gives the new position of the last CatalogChanged, -1 where there is none. */
async function insertResharded(
  transaction: Transaction,
  { directory, manifest, signal, onProgress }: ReshardOptions,
  placement: ShardPlacement,
  signed: SignedHeads,
): Promise<number> {
  let catalogPosition = -1
  let imported = 0
  const inserts = new Inserts(transaction, signal, (events) => {
    imported += events
    onProgress(imported, manifest.events)
  })
  const trees = new SignedTrees(signed, (message) => {
    throw new UserError(`Nothing was imported. ${message}.`)
  })
  for await (const events of checkMerged(directory, manifest, refuse)) {
    for (const checked of events) {
      const { event } = checked
      trees.append(checked)
      if (event.type === 'CatalogChanged' && event.shard !== 0) refuseChange(event)
      const place = placement.place(event)
      if (place === null) continue
      if (event.type === 'CatalogChanged') catalogPosition = place.position
      const resharded = { ...event, ...place }
      await inserts.add({ leaf: toLeaf(resharded), event: resharded })
    }
  }
  trees.end()
  await inserts.end()
  return catalogPosition
}

/** No append makes one there, and where it belongs among the others nobody can tell. */
function refuseChange({ shard, position }: { shard: number; position: number }): never {
  throw new UserError(
    `Nothing was imported. ${shard}/${position} is a change of the catalog: only shard 0 has any.`,
  )
}

/** Of the old heads a shard cites every so many: all are cited, and no event is too large. */
function stateChange(
  { manifest, manifestSha256, shards }: ReshardOptions,
  { skipped }: ShardPlacement,
  { heads }: SignedHeads,
  shard: number,
): ShardsChange {
  const linked = [...heads].filter(([old]) => old % shards === shard).sort(([a], [b]) => a - b)
  return {
    shards,
    archive: {
      manifest_sha256: manifestSha256,
      shards: manifest.shards.length,
      events: manifest.events,
      left_out: skipped,
    },
    previous: linked.map(([, note]) => note),
  }
}
