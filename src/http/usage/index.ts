import { Elysia } from 'elysia'
import { formatPositions, type Positions } from '../../events/positions.ts'
import { inSnapshot, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import { catalogRows } from '../../read-model/projections/catalog-rows.ts'
import type { Projection } from '../../read-model/projections/projection.ts'
import { usage } from '../../read-model/projections/usage.ts'
import type { AwaitedGroup } from '../../read-model/projector/projector.ts'
import { type Reflected, readNow, readReflected } from '../../read-model/queries/live.ts'
import type { Scope } from '../../read-model/queries/scope.ts'
import { readUsage, readUsageNow, type Usage } from '../../read-model/queries/usage.ts'
import type { RequestContext } from '../admission.ts'
import type { auth } from '../auth.ts'
import {
  type AsOf,
  consistentRead,
  findPositions,
  type ReadOptions,
  WAIT_MS,
} from '../counters/consistent-read.ts'
import { jsonResponse, typedAs } from '../json.ts'
import { chooseType } from '../negotiation.ts'
import { Problem, unavailable } from '../problem.ts'
import { BucketsError, type BucketsRequest, toBounds } from './buckets.ts'
import { toCsv } from './csv.ts'
import { detail } from './detail.ts'
import { UsageQuery } from './model.ts'
import { readScope } from './scope.ts'

/** Serves GET /admin/usage: the usage in each hour or day of a time zone. */
export function usageRoute(guard: ReturnType<typeof auth>, options: ReadOptions) {
  return new Elysia({ name: 'usage' }).use(guard).get(
    '/admin/usage',
    async (context) => {
      const { query, request } = context
      const scope = readScope(query)
      const { bucket = 'hour', tz = 'UTC' } = query
      const past = await findPositions(options, context, query)
      const bounds = await options.admission.admitRead(context, async () => {
        const now = query.to ?? query.as_of ?? (past && (await options.history.momentOf(past)))
        return readBounds({
          ...{ from: query.from ?? null, to: query.to ?? null, bucket, tz },
          now: now ?? new Date().toISOString(),
        })
      })
      const { value, positions } = await read(options, context, query, past, scope, bounds)
      const position = { 'tallybook-position': formatPositions(positions), vary: 'accept' }
      const format = query.format ?? chooseType(request, ['application/json', 'text/csv'])
      if (format === 'csv' || format === 'text/csv') {
        const type = { 'content-type': 'text/csv; charset=utf-8; header=present' }
        // The only typed caller, the console, requests JSON.
        return typedAs<never>(new Response(toCsv(value), { headers: { ...type, ...position } }))
      }
      const range = { from: bounds[0], to: bounds.at(-1) }
      return jsonResponse({ bucket, tz, ...range, ...value }, position)
    },
    { roles: ['admin', 'auditor'], query: UsageQuery, detail },
  )
}

function readBounds(request: BucketsRequest): string[] {
  try {
    return toBounds(request)
  } catch (error) {
    if (error instanceof BucketsError) throw invalid(error.message)
    throw error
  }
}

async function read(
  options: ReadOptions,
  context: RequestContext,
  { consistency }: AsOf,
  past: Positions | null,
  scope: Scope,
  bounds: string[],
): Promise<Reflected<Usage>> {
  if (past === null) return readCurrent(options, context, consistency === 'eventual', scope, bounds)
  const awaited: AwaitedGroup[] = ['usage', 'current']
  const { value } = await consistentRead(options, context, { past, awaited }, (sql) =>
    readNow(sql, (transaction) =>
      options.history.readUsage(transaction, past, scope, (_, rows) =>
        readUsage(transaction, scope, rows, bounds),
      ),
    ),
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
  scope: Scope,
  bounds: string[],
): Promise<Reflected<Usage>> {
  const isOfAll = scope.account === null
  const read = (sql: Sql | Transaction, projections: readonly Projection[]) =>
    inSnapshot(sql, async (transaction) => {
      const [{ value, positions }, catalog] = await Promise.all([
        readUsageNow(transaction, scope, bounds, projections),
        isOfAll ? readReflected(transaction, [catalogRows]) : null,
      ])
      return { value: { usage: value, catalog }, positions }
    })
  if (isEventual) {
    const { value, positions } = await consistentRead(
      options,
      context,
      { past: null, awaited: [] },
      (sql) => read(sql, isOfAll ? [catalogRows, usage] : [usage]),
    )
    return { value: value.usage, positions }
  }
  const awaited: AwaitedGroup[] = isOfAll ? ['usage', 'current'] : ['usage']
  let needed: Positions | null = null
  for (const end = performance.now() + WAIT_MS; ; ) {
    const { value, positions }: Reflected<{ usage: Usage; catalog: Positions | null }> =
      await consistentRead(options, context, { past: needed, awaited }, (sql) => read(sql, [usage]))
    const { catalog } = value
    if (catalog === null || catalog[0]! >= positions[0]!) return { value: value.usage, positions }
    if (performance.now() > end) throw unavailable('projections behind')
    needed = positions
  }
}

const invalid = (detail: string) => new Problem(400, 'invalid query', detail)
