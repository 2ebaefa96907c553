import type { Positions } from '../../events/positions.ts'
import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'
import { nameOfApiKey, type UnknownKind } from '../../events/unknown.ts'
import { readRecordedAt } from '../../log/read.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toTextArray } from '../../read-model/projections/array.ts'
import { bookkeeping } from '../../read-model/projections/bookkeeping.ts'
import { readReflected } from '../../read-model/queries/live.ts'
import { liveGeneration } from '../../read-model/queries/live-source.ts'
import { requireUnknownKeys } from '../unknown-keys.ts'
import { findUnlisted, toScanRequest } from './find-scans.ts'
import type { LogScan } from './log-scan.ts'
import type { LogScans } from './log-scans.ts'
import { readUsed } from './read-used.ts'
import { type ApiKey, toAdoption } from './to-adoption.ts'
import type { Used } from './used.ts'

/** The keys to adopt: ids of API keys, and token hashes. */
export type KeysToAdopt = { api_keys: number[]; keys: string[] }

/** Scans of the log that have to reach some positions first. */
export type ScansNeeded = { scans: LogScan[]; heads: Positions }

/** An adoption, or null if there is nothing to count, and the scans that it was made of. */
export type Decided = { adoption: Adoption | null; scans: LogScan[] }

export type AdoptionLimits = {
  /** The most names and quarter hours of an adoption. */
  maxUsed: number
  /** Null if the log must not be read here. */
  scans: LogScans | null
}

/** The most names that are looked for in the log at once. */
export const MAX_SCANNED_NAMES = 100_000

/** Events that are still read while an adoption is decided: less than a second of reading. */
const LAST_EVENTS = 20_000

/**
 * Decides on the adoption of what the log holds for these keys and no act has taken. Keys that are
 * not in the catalog, or retired, are left out: they are still unknown. Returns 'too large' if it
 * is more than the limits allow.
 */
export async function decideAdoption(
  transaction: Transaction,
  keys: KeysToAdopt,
  { maxUsed, scans }: AdoptionLimits,
): Promise<Decided | ScansNeeded | 'too large'> {
  await requireUnknownKeys(transaction)
  const heads = await readReflected(transaction, [bookkeeping])
  const apiKeys = await readApiKeys(transaction, keys.api_keys)
  const isTracked = await readTracked(transaction, keys.keys)
  const names = { api_key: [...apiKeys.keys()], key: [...isTracked.keys()] }
  const unlisted = [
    ...(await findUnlisted(transaction, 'api_key', names.api_key)),
    ...(await findUnlisted(transaction, 'key', names.key)),
  ]
  const used: Record<UnknownKind, Used[]> = { api_key: [], key: [] }
  for (const kind of ['api_key', 'key'] as const) {
    const scanned = new Set(unlisted.flatMap((one) => (one.kind === kind ? one.names : [])))
    const kept = names[kind].filter((name) => !scanned.has(name))
    const read = await readUsed(transaction, kind, kept, maxUsed, heads.length)
    if (read === 'too large') return read
    used[kind] = read
  }
  const isTooMuch = () => used.api_key.length + used.key.length > maxUsed
  if (isTooMuch()) return 'too large'
  if (unlisted.length > 0 && scans === null) return 'too large'
  if (unlisted.some((one) => one.names.length > MAX_SCANNED_NAMES)) return 'too large'
  const opened: LogScan[] = []
  for (const one of unlisted) opened.push(scans!.open(await toScanRequest(transaction, one)))
  if (countLeft({ scans: opened, heads }) > LAST_EVENTS) return { scans: opened, heads }
  for (const scan of opened) {
    // At least one step, which checks that the log still has what was read.
    do await scan.readStep(transaction, heads[scan.shard]!)
    while (scan.countLeft(heads[scan.shard]!) > 0)
    // Beyond that, a scan leaves out what it finds.
    if (scan.found > maxUsed) return 'too large'
    used[scan.kind] = used[scan.kind].concat(scan.toRows())
  }
  if (isTooMuch()) return 'too large'
  if (used.api_key.length === 0 && used.key.length === 0) return { adoption: null, scans: opened }
  for (const kind of ['api_key', 'key'] as const) used[kind].sort(byTime)
  const until = await readNewestTime(transaction, heads)
  const adoption = toAdoption({ heads: [...heads], until }, used, { apiKeys, isTracked })
  return { adoption, scans: opened }
}

/** Returns how many events scans have to read until they reach these positions. */
export const countLeft = ({ scans, heads }: ScansNeeded): number =>
  scans.reduce((sum, scan) => sum + scan.countLeft(heads[scan.shard]!), 0)

const byTime = (a: Used, b: Used) =>
  a.time < b.time ? -1 : a.time > b.time ? 1 : a.name < b.name ? -1 : a.name > b.name ? 1 : 0

/** Reads API keys of the catalog, by each of their names. */
async function readApiKeys(
  transaction: Transaction,
  ids: readonly number[],
): Promise<Map<string, ApiKey>> {
  const rows = await transaction<{ id: string; group_id: string; external_id: string | null }[]>`
    select k.id, k.external_id, coalesce(g.id, 0) as group_id
    from api_keys k
      left join provider_groups g on g.generation = k.generation and g.id = k.group_id
        and g.ended_at is null
    where k.generation = ${liveGeneration(transaction, 'catalog')} and k.ended_at is null
      and k.id = any (${toTextArray(ids, String)}::bigint[])`
  return new Map(
    rows.flatMap(({ id, group_id, external_id }) => {
      const key = { id: Number(id), group: Number(group_id) }
      const names = [nameOfApiKey(key.id, null)]
      if (external_id !== null) names.push(nameOfApiKey(key.id, external_id))
      return names.map((name) => [name, key] as const)
    }),
  )
}

/** Reads whether the quotas of token keys of the catalog are tracked. */
async function readTracked(
  transaction: Transaction,
  hashes: readonly string[],
): Promise<Map<string, boolean>> {
  const rows = await transaction<{ token_hash: string; is_tracked: boolean }[]>`
    select k.token_hash, k.quota_limit >= 0 as is_tracked
    from keys k
    where k.generation = ${liveGeneration(transaction, 'catalog')} and k.ended_at is null
      and k.token_hash = any (${toTextArray(hashes, String)}::text[])`
  return new Map(rows.map((row) => [row.token_hash, row.is_tracked]))
}

/** Returns the time of the newest event at these positions. */
async function readNewestTime(transaction: Transaction, heads: Positions): Promise<string> {
  const times = await Promise.all(
    heads.map((position, shard) => readRecordedAt(transaction, shard, position)),
  )
  // All have the same format, in which text order is time order.
  return times
    .filter((time) => time !== null)
    .sort()
    .at(-1)!
}
