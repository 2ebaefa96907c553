import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { liveGeneration } from './live-source.ts'
import { addUsageMeasured } from './measures.ts'
import type { Scope } from './scope.ts'
import type { Usage } from './usage.ts'
import { type DividedUsage, type Division, readUsageBy, type UsageSource } from './usage-by.ts'

type Source = Omit<UsageSource, 'parts'> & { parts: () => Fragment }

/**
 * Adds measures to the usage of all buckets, `whole`, and divides it by dimensions if `division`
 * is not null. Reads nothing if no measure was declared and nothing is to be divided.
 */
export async function addDetails(
  transaction: Transaction,
  scope: Scope,
  { parts, ...source }: Source,
  bounds: readonly string[],
  whole: Usage,
  division: Division | null,
): Promise<Usage | DividedUsage> {
  const { measures } = source
  if (measures.length === 0 && division === null) return whole
  const measured = await addUsageMeasured(transaction, parts(), measures, bounds, whole)
  if (division === null) return measured
  await requireDimensions(transaction, division.by)
  const from = { ...source, parts: parts() }
  const items = await readUsageBy(transaction, scope, from, bounds, division)
  return { items, total: measured.total }
}

/** Usage is asked for by a dimension that was never declared. */
export class UnknownDimension extends Error {
  override name = 'UnknownDimension'
}

async function requireDimensions(transaction: Transaction, names: readonly string[]) {
  const rows = await transaction<{ name: string }[]>`
    select r.name from dimensions r where r.generation = ${liveGeneration(transaction, 'catalog')}`
  const missing = names.find((name) => !rows.some((row) => row.name === name))
  if (missing !== undefined) throw new UnknownDimension(missing)
}
