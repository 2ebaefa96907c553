import type { Pools, Transaction } from '../../db/pool.ts'
import { formatPositions } from '../../events/positions.ts'
import { CursorError } from '../../projections/page.ts'
import { readSnapshot } from '../../projections/snapshot.ts'
import type { Projector } from '../../projector/projector.ts'
import { jsonResponse } from '../json.ts'
import { Problem, unavailable } from '../problem.ts'

/** Milliseconds that a read waits for the projections before it answers 503. */
const WAIT_MS = 10_000

export type ReadOptions = { pools: Pools; projector: Projector }

/**
 * Answers a read: it reflects every flush that was acknowledged before, unless it asked for
 * `eventual`, and says in Tallybook-Position what it reflects. `null` is answered with 404.
 */
export async function reflect<Value>(
  { pools, projector }: ReadOptions,
  consistency: 'eventual' | undefined,
  read: (transaction: Transaction) => Promise<Value | null>,
): Promise<Response> {
  if (consistency !== 'eventual' && !(await projector.catchUp(WAIT_MS))) {
    throw unavailable('projections behind')
  }
  try {
    const { value, positions } = await readSnapshot(pools.read, read)
    if (value === null) throw new Problem(404, 'not found')
    return jsonResponse(value, { 'tallybook-position': formatPositions(positions) })
  } catch (error) {
    if (!(error instanceof CursorError)) throw error
    throw new Problem(
      400,
      'invalid query',
      'The cursor is not one that this list has given for this sort.',
    )
  }
}
