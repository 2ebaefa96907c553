import { covers, type Positions } from '../events/positions.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { inSnapshot, type Pools, type Transaction } from '../platform/postgres/pool.ts'
import { CURRENT } from '../read-model/projections/index.ts'
import type { Projector } from '../read-model/projector/projector.ts'
import { readReflected } from '../read-model/queries/live.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'

/** The part of a projector that acts need; the projector may run on another thread. */
export type ActProjector = Pick<Projector, 'readHeads' | 'reach' | 'noticeLoss'>

/** How long (ms) projections are awaited. */
const CATCH_UP_MS = 10_000

/**
 * Reads what an act is decided on, in one snapshot of the projections that includes everything in
 * the log so far, or `through` positions; `before` is the position of the newest act in it. Returns
 * 'behind' if the state that was read is older.
 */
export async function readAtNewestAct<Value>(
  { pools, projector }: { pools: Pools; projector: ActProjector },
  read: (transaction: Transaction, before: number) => Promise<Value>,
  through: Positions | null = null,
): Promise<Value | 'behind'> {
  const heads = through ?? (await projector.readHeads())
  if (!(await projector.reach(heads, CATCH_UP_MS, 'current'))) {
    throw new TemporarilyUnavailable('projections behind')
  }
  return inSnapshot(pools.read, async (transaction) => {
    // On Citus, totals are read in another snapshot than acts: that of the node of the shard, which
    // these checkpoints are from, too.
    const positions = await readReflected(transaction, CURRENT)
    const before = await readNewestAct(transaction)
    if (covers(positions, heads) && positions[0]! >= before) return read(transaction, before)
    projector.noticeLoss(positions)
    return 'behind'
  })
}

/** Returns the position of the newest act that the projections reflect; -1 if there is none. */
async function readNewestAct(transaction: Transaction): Promise<number> {
  const [row] = await transaction<{ position: string }[]>`
    select coalesce(max(t.position), -1) as position
    from acts t
    where t.generation = ${liveGeneration(transaction, 'bookkeeping')}`
  return Number(row!.position)
}
