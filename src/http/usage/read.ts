import type { Positions } from '../../events/positions.ts'
import { inSnapshot, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import { catalogRows } from '../../read-model/projections/catalog-rows.ts'
import type { Projection } from '../../read-model/projections/projection.ts'
import { usage } from '../../read-model/projections/usage.ts'
import type { AwaitedGroup } from '../../read-model/projector/projector.ts'
import { type Reflected, readNow, readReflected } from '../../read-model/queries/live.ts'
import type { Scope } from '../../read-model/queries/scope.ts'
import type { Usage } from '../../read-model/queries/usage.ts'
import {
  type DividedUsage,
  type Division,
  TooManyEvents,
  TooManyItems,
  UnknownCount,
} from '../../read-model/queries/usage-by.ts'
import { UnknownDimension } from '../../read-model/queries/usage-details.ts'
import { readUsageNow } from '../../read-model/queries/usage-now.ts'
import type { RequestContext } from '../admission.ts'
import {
  type AsOf,
  consistentRead,
  findPositions,
  type ReadOptions,
  WAIT_MS,
} from '../counters/consistent-read.ts'
import { Problem, unavailable } from '../problem.ts'
import { BucketsError, type BucketUnit, toBounds } from './buckets.ts'

/** The range of a read: RFC 3339, or absent for the default. */
export type Range = {
  from?: string
  to?: string
  bucket: BucketUnit
  tz: string
  /** True if the whole range is one bucket. */
  isOneBucket?: boolean
}

/**
 * Reads the usage of a range; returns it with the bounds of its buckets. With `division`, items are
 * divided by dimensions. Throws problem 400 for an invalid range or division.
 */
export async function readRange(
  options: ReadOptions,
  context: RequestContext,
  asOf: AsOf,
  { from, to, bucket, tz, isOneBucket = false }: Range,
  scope: Scope,
  division: Division | null,
): Promise<Reflected<Usage | DividedUsage> & { bounds: string[] }> {
  const past = await findPositions(options, context, asOf)
  const bounds = await options.admission.admitRead(context, async () => {
    const now = to ?? asOf.as_of ?? (past && (await options.history.momentOf(past)))
    const range = { from: from ?? null, to: to ?? null, bucket, tz }
    const all = readBounds({ ...range, now: now ?? new Date().toISOString() })
    return isOneBucket ? [all[0]!, all.at(-1)!] : all
  })
  const read = await readAny(options, context, asOf, { past, scope, bounds, division })
  return { ...read, bounds }
}

function readBounds(request: Parameters<typeof toBounds>[0]): string[] {
  try {
    return toBounds(request)
  } catch (error) {
    if (error instanceof BucketsError) throw invalid(error.message)
    throw error
  }
}

type Asked = { past: Positions | null; scope: Scope; bounds: string[]; division: Division | null }

async function readAny(
  options: ReadOptions,
  context: RequestContext,
  { consistency }: AsOf,
  asked: Asked,
): Promise<Reflected<Usage | DividedUsage>> {
  try {
    const { past } = asked
    if (past !== null) return await readPast(options, context, { ...asked, past })
    return await readCurrent(options, context, consistency === 'eventual', asked)
  } catch (error) {
    if (error instanceof UnknownDimension) {
      throw invalid(`\`${error.message.slice(0, 80)}\` is not a dimension of the catalog.`)
    }
    if (error instanceof TooManyEvents) {
      throw invalid(
        'Too many flushes came in the quarter hour of `as_of`. Ask for its start or its end.',
      )
    }
    if (error instanceof UnknownCount) {
      throw invalid('`largest_by` names nothing that is counted here.')
    }
    if (!(error instanceof TooManyItems)) throw error
    const most = asked.division!.items
    throw invalid(`There are more than ${most} items. Shorten the range, or lower \`limit\`.`)
  }
}

async function readPast(
  options: ReadOptions,
  context: RequestContext,
  { past, scope, bounds, division }: Asked & { past: Positions },
): Promise<Reflected<Usage | DividedUsage>> {
  const awaited: AwaitedGroup[] = ['usage', 'current']
  const { history } = options
  const { value } = await consistentRead(options, context, { past, awaited }, (sql) =>
    readNow(sql, (transaction) => history.readUsage(transaction, past, scope, bounds, division)),
  )
  return { value, positions: past }
}

/**
 * Reads the current usage, and the positions of its own checkpoints. Usage in total covers the
 * groups of the catalog, which belongs to another projection group and is folded from shard 0
 * only. The catalog must be at least as far as the usage that was read, or a group could be
 * missing.
 */
async function readCurrent(
  options: ReadOptions,
  context: RequestContext,
  isEventual: boolean,
  { scope, bounds, division }: Asked,
): Promise<Reflected<Usage | DividedUsage>> {
  // Also the dimensions of a division are those of the catalog.
  const needsCatalog = scope.account === null || division !== null
  const read = (sql: Sql | Transaction, projections: readonly Projection[]) =>
    inSnapshot(sql, async (transaction) => {
      const [{ value, positions }, catalog] = await Promise.all([
        readUsageNow(transaction, scope, bounds, projections, division),
        needsCatalog ? readReflected(transaction, [catalogRows]) : null,
      ])
      return { value: { usage: value, catalog }, positions }
    })
  if (isEventual) {
    const { value, positions } = await consistentRead(
      options,
      context,
      { past: null, awaited: [] },
      (sql) => read(sql, needsCatalog ? [catalogRows, usage] : [usage]),
    )
    return { value: value.usage, positions }
  }
  // Measures have the names of the catalog.
  const awaited: AwaitedGroup[] = ['usage', 'current']
  let needed: Positions | null = null
  for (const end = performance.now() + WAIT_MS; ; ) {
    const {
      value,
      positions,
    }: Reflected<{ usage: Usage | DividedUsage; catalog: Positions | null }> = await consistentRead(
      options,
      context,
      { past: needed, awaited },
      (sql) => read(sql, [usage]),
    )
    const { catalog } = value
    if (catalog === null || catalog[0]! >= positions[0]!) return { value: value.usage, positions }
    if (performance.now() > end) throw unavailable('projections behind')
    needed = positions
  }
}

const invalid = (detail: string) => new Problem(400, 'invalid query', detail)
