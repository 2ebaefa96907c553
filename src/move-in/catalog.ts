import type { Accepted } from './accept.ts'
import { type Accounts, readAccounts, type ServiceKey, type ServiceRated } from './accounts.ts'
import type { OldApiKey, OldKey, OldRated, OldSystem } from './old-books.ts'
import type { Service } from './service.ts'

/** Rows in one change of the catalog: some 300 kB. */
const BATCH_ROWS = 2_000

/** How many rows of the catalog were added or changed, and how many were retired. */
export type CatalogChanges = { put: number; retired: number }

/**
 * Brings the catalog to what the older system has. Rows that are so already are left alone, so that
 * a move that was interrupted continues where it ended. Rows that the older system has deleted are
 * added and retired: their totals stay in those of the service.
 */
export async function moveCatalog(
  service: Service,
  system: OldSystem,
  { groups, apiKeys, keys }: Accepted,
): Promise<CatalogChanges> {
  const before = await readAccounts(service, system)
  const changedGroups = groups.filter((row) => differs(row, before.groups.get(row.ref)))
  await putRows(service, 'provider_groups', changedGroups, (row) => named(system, row))
  const groupIds = await readGroupIds(service, system, changedGroups.length > 0, before)
  const idOf = (row: OldApiKey) => (row.group === null ? 0 : (groupIds(row.group) ?? 0))
  const changedApiKeys = apiKeys.filter((row) => {
    const there = before.apiKeys.get(row.ref)
    return differs(row, there) || (there!.ended_at === undefined && there!.group_id !== idOf(row))
  })
  await putRows(service, 'api_keys', changedApiKeys, (row) => ({
    ...named(system, row),
    group_id: idOf(row),
  }))
  const changedKeys = keys.filter((row) => differsAsKey(row, before.keys.get(row.ref)))
  await putRows(service, 'keys', changedKeys, (row) => ({
    ...{ token_hash: row.ref, name: row.name ?? '', quota_limit: limitOf(row) },
    quota_period: row.period,
  }))
  const retired =
    (await retire(service, 'provider-groups', groups, before.groups, pathOf(system))) +
    (await retire(service, 'api-keys', apiKeys, before.apiKeys, pathOf(system))) +
    (await retire(service, 'keys', keys, before.keys, encodeURIComponent))
  return { put: changedGroups.length + changedApiKeys.length + changedKeys.length, retired }
}

/** -1 is unlimited. */
export const limitOf = ({ limit }: OldKey) => (limit === null ? -1 : Number(limit))

/** A row that both systems have retired is left as it is. */
function differs(row: OldRated, there: ServiceRated | ServiceKey | undefined): boolean {
  if (there === undefined) return true
  if (there.ended_at !== undefined) return !row.isDeleted
  return (row.name ?? '') !== (there.name ?? '')
}

function differsAsKey(row: OldKey, there: ServiceKey | undefined): boolean {
  if (there === undefined || (there.ended_at !== undefined && row.isDeleted)) return !there
  const hasEnded = there.ended_at !== undefined
  const hasOtherName = (row.name ?? '') !== (there.name ?? '')
  const hasOtherQuota =
    limitOf(row) !== there.quota_limit || row.period !== (there.quota_period ?? 'none')
  return hasEnded || hasOtherName || hasOtherQuota
}

const named = ({ namedBy }: OldSystem, { ref, name }: OldRated) => ({
  ...(namedBy === 'id' ? { id: Number(ref) } : { external_id: ref }),
  name: name ?? '',
})

const pathOf =
  ({ namedBy }: OldSystem) =>
  (ref: string) =>
    namedBy === 'id' ? ref : `ext:${encodeURIComponent(ref)}`

async function putRows<Row>(
  service: Service,
  kind: string,
  rows: readonly Row[],
  toRow: (row: Row) => object,
): Promise<void> {
  for (let at = 0; at < rows.length; at += BATCH_ROWS) {
    const batch = rows.slice(at, at + BATCH_ROWS).map(toRow)
    await service.send('PUT', '/admin/catalog', { [kind]: batch })
  }
}

/** Returns a function from the name of a group to its id, which may be the same. */
async function readGroupIds(
  service: Service,
  system: OldSystem,
  hasChanged: boolean,
  before: Accounts,
): Promise<(ref: string) => number | undefined> {
  if (system.namedBy === 'id') {
    return (ref) => (/^[1-9]\d{0,15}$/.test(ref) ? Number(ref) : undefined)
  }
  const { groups } = hasChanged ? await readAccounts(service, system) : before
  return (ref) => groups.get(ref)?.id
}

/** Retires the rows that the older system has deleted. Returns how many it retired. */
async function retire(
  service: Service,
  list: string,
  rows: readonly { ref: string; isDeleted: boolean }[],
  before: Map<string, { ended_at?: string }>,
  toPath: (ref: string) => string,
): Promise<number> {
  let retired = 0
  for (const { ref, isDeleted } of rows) {
    if (!isDeleted || before.get(ref)?.ended_at !== undefined) continue
    await service.send('DELETE', `/admin/${list}/${toPath(ref)}`)
    retired++
  }
  return retired
}
