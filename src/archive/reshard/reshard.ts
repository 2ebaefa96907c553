import type { LastDecisions } from '../../events/act.ts'
import { toLeaf } from '../../events/leaf.ts'
import type { Positions } from '../../events/positions.ts'
import { SHARDS_CHANGED_KEY, type ShardsChange } from '../../events/statement.ts'
import { appendServiceEvent } from '../../log/append-event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { checkMerged } from '../check.ts'
import type { ImportOptions } from '../import.ts'
import { fillEmptyLog, Inserts, refuse, refuseRepeatedKeys } from '../insert.ts'
import { noteDecision, refuseMisplaced, setLastDecisions } from '../last-decisions.ts'
import { checkSignedHeads, readSignedHeads, type SignedHeads } from '../transparency.ts'
import { ShardPlacement } from './placement.ts'
import { ReversalTargets } from './reversal-targets.ts'
import { SignedTrees } from './signed-trees.ts'

/** Options of an import into another number of shards. */
export type ReshardOptions = ImportOptions & {
  /** The number of shards of the log, which differs from the archive's. */
  shards: number
  /** SHA-256 of the archive's manifest, in hex. */
  manifestSha256: string
}

/** The last position of each shard, and the number of skipped service events. */
export type Resharded = { positions: Positions; skipped: number }

/**
 * Imports an archive, like `importArchive`, but into a log with another number of shards (see
 * placement.ts). In the same transaction, each shard gets a `ShardsChanged` event after its
 * resharded events. If the archive is signed, its events must match its tree heads, because the
 * `ShardsChanged` events list these heads and nothing else proves the old history. Memory is
 * bounded for any number of old and new shards.
 */
export async function reshardArchive(options: ReshardOptions): Promise<Resharded> {
  const { directory, manifest, shards, signal } = options
  await checkSignedHeads(directory, manifest, refuse)
  const signed = await readSignedHeads(directory, manifest)
  return fillEmptyLog(options.sql, shards, async (transaction) => {
    const placement = new ShardPlacement(shards)
    const reversals = await ReversalTargets.read(directory, manifest)
    const last = await insertResharded(transaction, options, placement, signed, reversals)
    await setLastDecisions(transaction, last)
    await refuseRepeatedKeys(transaction)
    const positions: number[] = []
    for (let shard = 0; shard < shards; shard++) {
      const change = describeChange(options, placement, signed, shard)
      const moved = shard === 0 ? reversals.toList() : []
      const payload = moved.length === 0 ? change : { ...change, reversals: moved }
      const event = { type: 'ShardsChanged', payload } as const
      const appended = await appendServiceEvent(transaction, shard, event, SHARDS_CHANGED_KEY)
      positions.push(appended.position)
    }
    signal.throwIfAborted()
    return { positions, skipped: placement.skipped }
  })
}

/** Inserts the resharded events. Returns the new positions of the last change and the last act. */
async function insertResharded(
  transaction: Transaction,
  options: ReshardOptions,
  placement: ShardPlacement,
  signed: SignedHeads,
  reversals: ReversalTargets,
): Promise<LastDecisions> {
  const { directory, manifest, onProgress } = options
  const last: LastDecisions = { change: -1, act: -1 }
  let imported = 0
  const inserts = new Inserts(transaction, options, (events) => {
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
      refuseMisplaced(event)
      const location = placement.place(event)
      if (location === null) continue
      reversals.note(event, location)
      if (location.shard === 0) noteDecision(last, event.type, location.position)
      const resharded = { ...event, ...location }
      await inserts.add({ leaf: toLeaf(resharded), event: resharded })
    }
  }
  trees.end()
  await inserts.end()
  return last
}

/**
 * Returns the payload of a shard's ShardsChanged event. New shard `s` links the heads of the old
 * shards `o` with `o mod shards = s`, so each head is linked once and no event is too large.
 */
function describeChange(
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
