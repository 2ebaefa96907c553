import type { ReadRequirement } from '../../cluster/replicas/progress.ts'
import type { Reads } from '../../cluster/replicas/reads.ts'
import { covers, formatPositions, type Positions, parsePositions } from '../../events/positions.ts'
import type { Pools, Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { AwaitedGroup, Projector } from '../../read-model/projector/projector.ts'
import type { AsOfQueries } from '../../read-model/queries/as-of.ts'
import { CursorError } from '../../read-model/queries/keyset-page.ts'
import { type Reflected, readNow } from '../../read-model/queries/live.ts'
import type { Source } from '../../read-model/queries/live-source.ts'
import type { Scope } from '../../read-model/queries/scope.ts'
import { jsonResponse } from '../json.ts'
import { toMoment } from '../params.ts'
import type { Places, RequestContext } from '../places.ts'
import { Problem, unavailable } from '../problem.ts'

/** Milliseconds that a read waits for the projections before it answers 503. */
export const WAIT_MS = 10_000

export type ReadOptions = {
  pools: Pools
  reads: Reads
  shards: number
  projector: Projector
  history: AsOfQueries
  places: Places
}

/** When a read is as of: now, at once or after a wait; or a moment of the past. */
export type AsOf = { consistency?: 'eventual'; as_of?: string; as_of_position?: string }

/**
 * Answers a read of the counters in a scope. It reflects every flush that was acknowledged
 * before, unless it asked for `eventual` or for the past, and says in Tallybook-Position what it
 * reflects. `null` is answered with 404.
 */
export async function reflect<Value>(
  options: ReadOptions,
  context: RequestContext,
  asOf: AsOf,
  scope: Scope,
  read: (transaction: Transaction, source: Source) => Promise<Value | null>,
): Promise<Value> {
  const { history } = options
  const past = await findPositions(options, context, asOf)
  const awaited: AwaitedGroup[] = asOf.consistency === 'eventual' ? [] : ['current']
  try {
    const { value, positions } = await consistentRead(options, context, { past, awaited }, (sql) =>
      past === null
        ? readNow(sql, read)
        : readNow(sql, (transaction) => history.read(transaction, past, scope, read)),
    )
    if (value === null) throw new Problem(404, 'not found')
    return jsonResponse(value, { 'tallybook-position': formatPositions(past ?? positions) })
  } catch (error) {
    if (!(error instanceof CursorError)) throw error
    throw invalid('The cursor is not one that this list has given for this sort.')
  }
}

/**
 * Reads what reflects the past that is asked for; null: all that is in the log now. Waits for
 * `tracks` to be there, the slowest first; none: reads whatever is there. What was there a moment
 * ago may be gone, where another server has taken the database's place, or its last commits were
 * lost: so what was read has to say that it reflects what was needed.
 */
export async function consistentRead<Value>(
  { projector, reads, places }: ReadOptions,
  context: RequestContext,
  { past, awaited }: { past: Positions | null; awaited: readonly AwaitedGroup[] },
  read: (sql: Sql | Transaction) => Promise<Reflected<Value>>,
): Promise<Reflected<Value>> {
  for (const end = performance.now() + WAIT_MS; ; ) {
    const [need = null] = await Promise.all(awaited.map((group) => catchUp(projector, past, group)))
    // The past is read from the log, too.
    const seen = await places.take(context, () =>
      past === null ? reads.read(need, read) : reads.readLog(need, read),
    )
    if (need === null || covers(seen.positions, need.positions)) return seen
    projector.noticeLoss(seen.positions)
    if (performance.now() > end) throw unavailable('projections behind')
  }
}

/** Waits until a track is at these positions; null: at the heads of the log. */
async function catchUp(
  projector: Projector,
  past: Positions | null,
  group: AwaitedGroup,
): Promise<ReadRequirement> {
  const positions = past ?? (await projector.readHeads())
  if (!(await projector.reach(positions, WAIT_MS, group))) throw unavailable('projections behind')
  return { kind: group, positions }
}

/** The positions that a read is as of; null: now. */
export async function findPositions(
  { history, shards, places }: ReadOptions,
  context: RequestContext,
  { consistency, as_of, as_of_position }: AsOf,
): Promise<Positions | null> {
  if (as_of === undefined && as_of_position === undefined) return null
  if (as_of !== undefined && as_of_position !== undefined) {
    throw invalid('Name as_of or as_of_position, not both.')
  }
  if (consistency !== undefined) throw invalid('The past is never eventual.')
  if (as_of !== undefined) {
    const moment = toMoment(as_of)
    if (moment === null) throw invalid('There is no such time: as_of.')
    const positions = await places.take(context, () => history.positionsAsOf(moment))
    if (positions === null) throw invalid('That time is yet to come: as_of.')
    return positions
  }
  const asked = parsePositions(as_of_position!, shards)
  if (asked === null) throw invalid('There is no such position: as_of_position.')
  const positions = await places.take(context, () => history.positionsOf(asked))
  if (positions === null) throw invalid('The log is not there yet: as_of_position.')
  return positions
}

const invalid = (detail: string) => new Problem(400, 'invalid query', detail)
