import { postAmounts } from '../events/amounts.ts'
import { addExact, type Exact } from '../events/exact.ts'
import type { Location } from '../events/positions.ts'
import type { Postings } from '../events/postings.ts'
import type { Reversal } from '../events/types/event-reversed.ts'
import { parseApiKeyName, type UnknownEntries, type UnknownKind } from '../events/unknown.ts'
import type { Transaction } from '../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../read-model/projections/array.ts'
import { bookkeeping } from '../read-model/projections/bookkeeping.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import { lastResharding } from './adoption/last-resharding.ts'
import { PostedAmounts, sharesOf } from './posted-amounts.ts'
import { requireUnknownKeys } from './unknown-keys.ts'

type Unknown = NonNullable<Reversal['unknown']>

/** Sums of the entries of a flush for unknown keys, by name. */
export class UnknownAmounts {
  readonly #sums = { api_key: new Map<string, Exact[]>(), key: new Map<string, Exact[]>() }

  add({ kind, names, requests, seconds }: UnknownEntries): void {
    const sums = this.#sums[kind]
    for (const [i, name] of names.entries()) {
      const [first, second] = sums.get(name) ?? [0, 0]
      sums.set(name, [addExact(first!, requests[i]!), addExact(second!, seconds[i]!)])
    }
  }

  /** Returns them as columns. A name has several rows if a sum is too large for one. */
  toColumns(): Unknown {
    const [api_keys, keys] = [columnsOf(this.#sums.api_key), columnsOf(this.#sums.key)]
    const { names: hashes, requests, seconds: tokens } = keys
    return {
      ...(api_keys.names.length > 0 && {
        api_keys: {
          names: api_keys.names,
          requests: api_keys.requests,
          successes: api_keys.seconds,
        },
      }),
      ...(hashes.length > 0 && { keys: { hashes, requests, tokens } }),
    }
  }
}

function columnsOf(sums: ReadonlyMap<string, readonly Exact[]>) {
  const columns = { names: [] as string[], requests: [] as number[], seconds: [] as number[] }
  for (const [name, values] of sums) {
    for (const [requests, seconds] of sharesOf(values)) {
      columns.names.push(name)
      columns.requests.push(requests!)
      columns.seconds.push(seconds!)
    }
  }
  return columns
}

/** A flush to reverse: its place, and its time. */
type Flush = Location & { recordedAt: string }

/**
 * Divides the entries of a flush for unknown keys: its reversal takes back what an adoption has
 * counted of them, and withdraws the others.
 */
export async function divideUnknown(
  transaction: Transaction,
  reversal: Reversal,
  flush: Flush,
): Promise<Reversal> {
  const { unknown, provider_groups, api_keys, keys, combinations, ...rest } = reversal
  if (unknown === undefined || Object.keys(unknown).length === 0) return reversal
  await requireUnknownKeys(transaction)
  const posted = new PostedAmounts()
  const amounts = {
    ...(provider_groups && { provider_groups }),
    ...(api_keys && { api_keys }),
    ...(keys && { keys }),
    ...(combinations && { combinations }),
  }
  posted.add(postAmounts(amounts, 1, null))
  const left = new UnknownAmounts()
  const timed = { ...flush, at: reversal.at }
  if (unknown.api_keys) {
    const { names, requests, successes: seconds } = unknown.api_keys
    await divide(transaction, { kind: 'api_key', names, requests, seconds }, timed, posted, left)
  }
  if (unknown.keys) {
    const { hashes: names, requests, tokens: seconds } = unknown.keys
    await divide(transaction, { kind: 'key', names, requests, seconds }, timed, posted, left)
  }
  const withdrawn = left.toColumns()
  return {
    ...rest,
    ...posted.toAmounts(),
    ...(Object.keys(withdrawn).length > 0 && { unknown: withdrawn }),
  }
}

type Columns = Pick<UnknownEntries, 'kind' | 'names' | 'requests' | 'seconds'>

async function divide(
  transaction: Transaction,
  { kind, names, requests, seconds }: Columns,
  { at, ...flush }: Flush & { at: string },
  posted: PostedAmounts,
  left: UnknownAmounts,
): Promise<void> {
  const adopted = await readAdopted(transaction, kind, names, flush)
  for (const [i, name] of names.entries()) {
    const by = adopted.get(name)
    const columns = { names: [name], requests: [requests[i]!], seconds: [seconds[i]!] }
    if (by) posted.add(postingsOf(kind, by, columns))
    else left.add({ kind, times: at, flushes: null, ...columns })
  }
}

/** How an adoption counted a name: for which account, and group or quota. */
type Adopted = { account: number | string; group: number; isTracked: boolean }

function postingsOf(
  kind: UnknownKind,
  { account, group, isTracked }: Adopted,
  { requests, seconds }: Pick<Columns, 'requests' | 'seconds'>,
): Postings[] {
  const range = { maxima: [], start: 0, end: requests.length }
  if (kind === 'key') {
    const sums = [requests, seconds, seconds.map((tokens) => (isTracked ? tokens : 0))]
    return [{ kind, accounts: account, sums, ...range }]
  }
  const sums = [requests, seconds]
  return [
    { kind, accounts: account, sums, ...range },
    ...(group === 0 ? [] : [{ kind: 'provider_group' as const, accounts: group, sums, ...range }]),
  ]
}

/**
 * Returns how each name was counted by the first adoption that covers the flush, if there is one.
 */
async function readAdopted(
  transaction: Transaction,
  kind: UnknownKind,
  names: readonly string[],
  flush: Flush,
): Promise<Map<string, Adopted>> {
  const acts = await readCovering(transaction, flush)
  if (acts.length === 0) return new Map()
  const rows = await transaction<
    { name: string; group_id: string | null; quota_tracked: boolean | null }[]
  >`
    select distinct on (t.name) t.name, t.group_id, t.quota_tracked
    from unknown_taken t
    where t.generation = ${liveGeneration(transaction, bookkeeping.name)}
      and t.kind = ${kind} and t.name = any (${toTextArray(names, String)}::text[])
      and t.position = any (${toArray(acts, Number)}::bigint[])
    order by t.name, t.position`
  const ids =
    kind === 'key'
      ? new Map()
      : await readIds(
          transaction,
          rows.map(({ name }) => name),
        )
  return new Map(
    rows.map(({ name, group_id, quota_tracked }) => {
      const account = kind === 'key' ? name : ids.get(name)!
      return [name, { account, group: Number(group_id ?? 0), isTracked: quota_tracked === true }]
    }),
  )
}

/**
 * Returns the positions of the adoptions that cover a flush: their heads had reached it. From
 * before the log was resharded, they cover what was recorded until then.
 */
async function readCovering(
  transaction: Transaction,
  { shard, position, recordedAt }: Flush,
): Promise<number[]> {
  const rows = await transaction<{ position: string }[]>`
    select e.position
    from acts a
      join events e on e.shard = 0 and e.position = a.position
    where a.generation = ${liveGeneration(transaction, bookkeeping.name)}
      and a.type = 'UnknownKeysAdopted'
      and case
        when e.position < ${lastResharding(transaction)}
          then (e.payload->>'until')::timestamptz >= ${recordedAt}::timestamptz
        else (e.payload->'heads'->>${shard}::integer)::bigint >= ${position}
      end`
  return rows.map((row) => Number(row.position))
}

/** Returns the ids of the API keys that names name. */
async function readIds(
  transaction: Transaction,
  names: readonly string[],
): Promise<Map<string, number>> {
  const parsed = names.map((name) => [name, parseApiKeyName(name)] as const)
  const externalIds = parsed.flatMap(([, named]) => ('externalId' in named ? named.externalId : []))
  const rows = await transaction<{ id: string; external_id: string }[]>`
    select k.id, k.external_id
    from api_keys k
    where k.generation = ${liveGeneration(transaction, 'catalog')}
      and k.external_id = any (${toTextArray(externalIds, String)}::text[])`
  const known = new Map(rows.map(({ id, external_id }) => [external_id, Number(id)]))
  return new Map(
    parsed.map(([name, named]) => [name, 'id' in named ? named.id : known.get(named.externalId)!]),
  )
}
