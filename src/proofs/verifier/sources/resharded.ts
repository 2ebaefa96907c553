import { checkMerged, type Problem } from '../../../archive/check.ts'
import { openArchive } from '../../../archive/open.ts'
import { ShardPlacement } from '../../../archive/reshard/placement.ts'
import { ReversalTargets } from '../../../archive/reshard/reversal-targets.ts'
import { readSignedHeads } from '../../../archive/transparency.ts'
import { hashLeaf, toLeaf } from '../../../events/leaf.ts'
import { UserError } from '../../../platform/user-error.ts'
import type { OnFinding, ReshardedSource } from '../index.ts'

/**
 * Opens an archive from which a log was resharded. Its problems go to `report`. Throws UserError if
 * the manifest can't be read.
 */
export async function openReshardedSource(
  directory: string,
  report: OnFinding,
): Promise<ReshardedSource> {
  const find = ({ file, at, message }: Problem) => {
    report({ kind: 'archive', at: at === null ? file : `${file} ${at}`, message })
  }
  const { manifest, problems } = await openArchive(directory)
  problems.forEach(find)
  if (manifest === null) throw new UserError(`${directory} can't be read as an archive.`)
  const { heads } = await readSignedHeads(directory, manifest)
  const reversals = await ReversalTargets.read(directory, manifest)
  return {
    shards: manifest.shards.length,
    readHead: async (shard) => heads.get(shard) ?? null,
    readResharded: async function* (shards) {
      const placement = new ShardPlacement(shards)
      for await (const events of checkMerged(directory, manifest, find)) {
        yield events.map(({ event, leafHash }) => {
          const place = placement.place(event)
          const from = { shard: event.shard, leafHash }
          if (place === null) return { from, to: null }
          reversals.note(event, place)
          const resharded = hashLeaf(toLeaf({ ...event, ...place }))
          return { from, to: { shard: place.shard, leafHash: resharded } }
        })
      }
    },
    listReversals: () => reversals.toList(),
  }
}
