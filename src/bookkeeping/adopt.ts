import { toExact } from '../events/exact.ts'
import type { Positions } from '../events/positions.ts'
import type { Adoption } from '../events/types/unknown-keys-adopted.ts'
import { nameOfApiKey, type UnknownKind } from '../events/unknown.ts'
import { readRecordedAt } from '../log/read.ts'
import type { Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { toTextArray } from '../read-model/projections/array.ts'
import { bookkeeping } from '../read-model/projections/bookkeeping.ts'
import { readReflected } from '../read-model/queries/live.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import { sharesOf } from './posted-amounts.ts'
import { requireUnknownKeys } from './unknown-keys.ts'

/** The keys to adopt: ids of API keys, and token hashes. */
export type KeysToAdopt = { api_keys: number[]; keys: string[] }

/**
 * Returns the adoption of what the log holds for these keys and no act has taken, or null if there
 * is nothing. Keys that are not in the catalog, or retired, are left out: they are still unknown.
 */
export async function decideAdoption(
  transaction: Transaction,
  keys: KeysToAdopt,
): Promise<Adoption | null> {
  await requireUnknownKeys(transaction)
  const heads = await readReflected(transaction, [bookkeeping])
  const apiKeys = await adoptApiKeys(transaction, keys.api_keys)
  const tokenKeys = await adoptKeys(transaction, keys.keys)
  if (apiKeys === null && tokenKeys === null) return null
  return {
    heads: [...heads],
    until: await readNewestTime(transaction, heads),
    ...(apiKeys && { api_keys: apiKeys }),
    ...(tokenKeys && { keys: tokenKeys }),
  }
}

/** What was posted under a name in one quarter hour. */
type Used = {
  name: string
  time: string
  requests: number
  seconds: number
  flushes: number
  accessed: number
}

async function adoptApiKeys(
  transaction: Transaction,
  ids: readonly number[],
): Promise<NonNullable<Adoption['api_keys']> | null> {
  const generation = liveGeneration(transaction, 'catalog')
  const rows = await transaction<{ id: string; group_id: string; external_id: string | null }[]>`
    select k.id, k.external_id, coalesce(g.id, 0) as group_id
    from api_keys k
      left join provider_groups g on g.generation = k.generation and g.id = k.group_id
        and g.ended_at is null
    where k.generation = ${generation} and k.ended_at is null
      and k.id = any (${toTextArray(ids, String)}::bigint[])`
  const keys = new Map(
    rows.flatMap(({ id, group_id, external_id }) => {
      const key = { id: Number(id), group: Number(group_id) }
      const names = [nameOfApiKey(key.id, null)]
      if (external_id !== null) names.push(nameOfApiKey(key.id, external_id))
      return names.map((name) => [name, key] as const)
    }),
  )
  const used = await readUsed(transaction, 'api_key', [...keys.keys()])
  if (used.length === 0) return null
  return {
    ids: used.map(({ name }) => keys.get(name)!.id),
    groups: used.map(({ name }) => keys.get(name)!.group),
    names: used.map(({ name }) => name),
    times: used.map(({ time }) => time),
    requests: used.map(({ requests }) => requests),
    successes: used.map(({ seconds }) => seconds),
    flushes: used.map(({ flushes }) => flushes),
  }
}

async function adoptKeys(
  transaction: Transaction,
  hashes: readonly string[],
): Promise<NonNullable<Adoption['keys']> | null> {
  const rows = await transaction<{ token_hash: string; is_tracked: boolean }[]>`
    select k.token_hash, k.quota_limit >= 0 as is_tracked
    from keys k
    where k.generation = ${liveGeneration(transaction, 'catalog')} and k.ended_at is null
      and k.token_hash = any (${toTextArray(hashes, String)}::text[])`
  const isTracked = new Map(rows.map((row) => [row.token_hash, row.is_tracked]))
  const used = await readUsed(transaction, 'key', [...isTracked.keys()])
  if (used.length === 0) return null
  const tokens = used.map(({ seconds }) => seconds)
  return {
    hashes: used.map(({ name }) => name),
    times: used.map(({ time }) => time),
    requests: used.map(({ requests }) => requests),
    tokens,
    quota_used: used.map(({ name }, i) => (isTracked.get(name) ? tokens[i]! : 0)),
    last_accessed_at: used.map(({ accessed }) => accessed),
    flushes: used.map(({ flushes }) => flushes),
  }
}

/**
 * Reads what was posted under these names by quarter hour, and no act has taken, in order of time.
 * Sums that are too large for one row have several.
 */
async function readUsed(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
): Promise<Used[]> {
  if (names.length === 0) return []
  const rows = await transaction<Record<keyof Used, string>[]>`
    select
      r.name, ${transaction.unsafe(toMicroseconds('r.quarter'))} as time,
      r.requests, r.seconds, r.accessed, r.flushes
    from (
      select u.name, u.quarter, sum(u.requests) as requests, sum(u.seconds) as seconds,
        max(u.last_accessed_at) as accessed, sum(u.flushes) as flushes
      from unknown_usage u
      where u.generation = ${liveGeneration(transaction, bookkeeping.name)}
        and u.kind = ${kind}
        and u.name = any (${toTextArray(names, String)}::text[])
      group by u.name, u.quarter
      having sum(u.flushes) > 0
    ) r
    order by r.quarter, r.name`
  return rows.flatMap(({ name, time, accessed, ...counts }) => {
    const sums = [counts.requests, counts.seconds, counts.flushes].map(toExact)
    return [...sharesOf(sums)].map(([requests, seconds, flushes]) => ({
      ...{ name, time, accessed: Number(accessed) },
      ...{ requests: requests!, seconds: seconds!, flushes: flushes! },
    }))
  })
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
