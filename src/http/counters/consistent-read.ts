import type { ReadRequirement } from '../../cluster/replicas/progress.ts'
import type { Reads } from '../../cluster/replicas/reads.ts'
import { covers, formatPositions, type Positions, parsePositions } from '../../events/positions.ts'
import type { Pools, Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { AwaitedGroup, Projector } from '../../read-model/projector/projector.ts'
import type { AsOfQueries } from '../../read-model/queries/as-of.ts'
import { UsageNotKept } from '../../read-model/queries/kept-usage.ts'
import { CursorError } from '../../read-model/queries/keyset-page.ts'
import { type Reflected, readNow } from '../../read-model/queries/live.ts'
import type { Source } from '../../read-model/queries/live-source.ts'
import type { Scope } from '../../read-model/queries/scope.ts'
import type { Admission, RequestContext } from '../admission.ts'
import { jsonResponse } from '../json.ts'
import { toMoment } from '../params.ts'
import { Problem, unavailable } from '../problem.ts'
import type { RequestTracer, Stage } from '../tracer.ts'

/** Milliseconds that a read waits for the projections before it answers 503. */
export const WAIT_MS = 10_000

export type ReadOptions = {
  pools: Pools
  reads: Reads
  shards: number
  projector: Projector
  history: AsOfQueries
  admission: Admission
  /** null records no traces. */
  tracer: RequestTracer | null
}

/** The state that a read asks for: the current one, an eventual one, or one of the past. */
export type AsOf = { consistency?: 'eventual'; as_of?: string; as_of_position?: string }

/**
 * Answers a read of the counters in a scope. The response reflects every flush acknowledged before
 * the request, unless the request asks for `eventual` or for the past, and states in
 * Tallybook-Position what it reflects. Throws problem 404 if `read` returns null.
 */
export async function reflect<Value>(
  options: ReadOptions,
  context: RequestContext,
  asOf: AsOf,
  scope: Scope,
  read: (transaction: Transaction, source: Source) => Promise<Value | null>,
): Promise<Value> {
  const past = await findPositions(options, context, asOf)
  return answerRead(past, () => readCounted(options, context, { ...asOf, past }, scope, read))
}

/** Reads the counters in a scope, now or as of the positions `past`. */
export function readCounted<Value>(
  options: ReadOptions,
  context: RequestContext,
  { consistency, past }: Pick<AsOf, 'consistency'> & { past: Positions | null },
  scope: Scope,
  read: (transaction: Transaction, source: Source) => Promise<Value>,
): Promise<Reflected<Value>> {
  const awaited: AwaitedGroup[] = consistency === 'eventual' ? [] : ['current']
  return consistentRead(options, context, { past, awaited }, (sql) =>
    past === null
      ? readNow(sql, read)
      : readNow(sql, (transaction) => options.history.read(transaction, past, scope, read)),
  )
}

/**
 * Answers with what is read, and what it reflects: the positions `past`, unless they are null.
 * Throws problem 404 if that is null, and 400 for a cursor of another list.
 */
export async function answerRead<Value>(
  past: Positions | null,
  read: () => Promise<Reflected<Value | null>>,
): Promise<Value> {
  try {
    const { value, positions } = await read()
    if (value === null) throw new Problem(404, 'not found')
    return jsonResponse(value, { 'tallybook-position': formatPositions(past ?? positions) })
  } catch (error) {
    if (!(error instanceof CursorError)) throw error
    throw invalid('`cursor` is not a `next_cursor` of this list and sort order.')
  }
}

/**
 * Reads a state that reflects the positions `past`, or everything in the log if `past` is null.
 * Waits first for the projection groups in `awaited`, the slowest first; if there are none, it
 * reads what is folded so far. A failover or lost commits can undo what a group had reached, so
 * the positions that were read are compared with the required ones, and the read is repeated if
 * they fall short.
 */
export async function consistentRead<Value>(
  { projector, reads, admission, tracer }: ReadOptions,
  context: RequestContext,
  { past, awaited }: { past: Positions | null; awaited: readonly AwaitedGroup[] },
  read: (sql: Sql | Transaction) => Promise<Reflected<Value>>,
): Promise<Reflected<Value>> {
  const within = <Result>(stage: Stage, work: () => Promise<Result>) =>
    tracer === null ? work() : tracer.stage(context.request, stage, work)
  for (const end = performance.now() + WAIT_MS; ; ) {
    const [need = null] = await within('read.catch_up', () =>
      Promise.all(awaited.map((group) => catchUp(projector, past, group))),
    )
    // A read of the past also reads the log.
    const query = () => (past === null ? reads.read(need, read) : reads.readLog(need, read))
    const seen = await admission
      .admitRead(context, () => within('read.query', query))
      .catch(refuseNotKept)
    if (need === null || covers(seen.positions, need.positions)) return seen
    projector.noticeLoss(seen.positions)
    if (performance.now() > end) throw unavailable('projections behind')
  }
}

/** Waits until a projection group has reached `past`, or the heads of the log if it is null. */
async function catchUp(
  projector: Projector,
  past: Positions | null,
  group: AwaitedGroup,
): Promise<ReadRequirement> {
  const positions = past ?? (await projector.readHeads())
  if (!(await projector.reach(positions, WAIT_MS, group))) throw unavailable('projections behind')
  return { kind: group, positions }
}

/** Returns the positions as of which to read, or null for a read of the current state. */
export async function findPositions(
  { history, shards, admission }: ReadOptions,
  context: RequestContext,
  { consistency, as_of, as_of_position }: AsOf,
): Promise<Positions | null> {
  if (as_of === undefined && as_of_position === undefined) return null
  if (as_of !== undefined && as_of_position !== undefined) {
    throw invalid('Send `as_of` or `as_of_position`, not both.')
  }
  if (consistency !== undefined) {
    throw invalid('`consistency` cannot be combined with `as_of` or `as_of_position`.')
  }
  if (as_of !== undefined) {
    const moment = toMoment(as_of)
    if (moment === null) throw invalid('`as_of` is not a valid RFC 3339 timestamp.')
    const positions = await admission.admitRead(context, () => history.positionsAsOf(moment))
    if (positions === null) throw invalid('`as_of` is in the future.')
    return positions
  }
  const asked = parsePositions(as_of_position!, shards)
  if (asked === null) {
    throw invalid('`as_of_position` names a shard twice, or one that does not exist.')
  }
  const positions = await admission.admitRead(context, () => history.positionsOf(asked))
  if (positions === null) throw invalid('`as_of_position` is beyond the end of the log.')
  return positions
}

/** Throws problem 422 for usage that is no longer kept, and any other error as it is. */
function refuseNotKept(error: unknown): never {
  if (!(error instanceof UsageNotKept)) throw error
  throw new Problem(422, USAGE_BY_DAYS, describeNotKept(error))
}

/** The `error` of a read that needs usage by units that are not kept: days or months are. */
export const USAGE_BY_DAYS = 'usage by days'

const STARTS = { day: 'midnight', month: 'the start of a month' } as const

function describeNotKept({ boundary: { grain, before }, asked }: UsageNotKept): string {
  const start = `${before.slice(0, 10)}T00:00:00Z`
  switch (asked) {
    case 'buckets':
      return (
        `Usage before ${start} is kept by ${grain}s of UTC: \`from\`, \`to\` and all buckets ` +
        `before must begin and end at ${STARTS[grain]} in UTC.`
      )
    case 'as of':
      return `Usage before ${start} is kept by days: it can be shown as of that time or later.`
    case 'quota':
      return (
        `Usage before ${start} is kept by days: what keys had used of their quotas since an ` +
        'earlier time can no longer be shown.'
      )
    default:
      return asked satisfies never
  }
}

const invalid = (detail: string) => new Problem(400, 'invalid query', detail)
