import { type Amounts, postAmounts } from '../events/amounts.ts'
import { addExact, type Exact } from '../events/exact.ts'
import type { Location } from '../events/positions.ts'
import type { Postings } from '../events/postings.ts'
import type { Reversal } from '../events/types/event-reversed.ts'
import {
  parseApiKeyName,
  type UnknownEntries,
  type UnknownKind,
  unknownOf,
} from '../events/unknown.ts'
import type { Transaction } from '../platform/postgres/pool.ts'
import { toArray, toTextArray } from '../read-model/projections/array.ts'
import { bookkeeping } from '../read-model/projections/bookkeeping.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import { readLastResharding } from './adoption/last-resharding.ts'
import { CombinationList } from './combination-list.ts'
import { DetailRows, PostedAmounts, sharesOf } from './posted-amounts.ts'
import { requireUnknownKeys } from './unknown-keys.ts'

type Unknown = NonNullable<Reversal['unknown']>

/** Sums of the entries of a flush for unknown keys, by name and combination. */
export class UnknownAmounts {
  /** By combination, null for none, and name: two sums, and measures by number. */
  readonly #sums = {
    api_key: new Map<string | null, Map<string, Exact[]>>(),
    key: new Map<string | null, Map<string, Exact[]>>(),
  }

  add(entries: UnknownEntries): void {
    for (let i = 0; i < entries.names.length; i++) this.addEntry(entries, i)
  }

  /** Adds entry i. */
  addEntry({ kind, names, requests, seconds, details }: UnknownEntries, i: number): void {
    const index = details?.combination[i] ?? null
    const combination = index === null ? null : details!.combinations[index]!
    const byName = this.#sums[kind].get(combination) ?? new Map<string, Exact[]>()
    this.#sums[kind].set(combination, byName)
    const sums = byName.get(names[i]!) ?? [0, 0]
    byName.set(names[i]!, sums)
    sums[0] = addExact(sums[0]!, requests[i]!)
    sums[1] = addExact(sums[1]!, seconds[i]!)
    for (const { number, values } of index === null ? [] : details!.measures) {
      while (sums.length <= 2 + number) sums.push(0)
      sums[2 + number] = addExact(sums[2 + number]!, values[i]!)
    }
  }

  /** True if something has dimensions or measures. */
  get hasDetails(): boolean {
    return Object.values(this.#sums).some((sums) => [...sums.keys()].some((text) => text !== null))
  }

  /**
   * Returns them as columns. A name has several rows if a sum is too large for one. They have
   * details, whose combinations are added to a list, unless that is null.
   */
  toColumns(combinations: CombinationList | null): Unknown {
    const apiKeys = columnsOf(this.#sums.api_key, combinations)
    const keys = columnsOf(this.#sums.key, combinations)
    return {
      ...(apiKeys.names.length > 0 && {
        api_keys: {
          names: apiKeys.names,
          ...{ requests: apiKeys.requests, successes: apiKeys.seconds, ...apiKeys.details },
        },
      }),
      ...(keys.names.length > 0 && {
        keys: {
          hashes: keys.names,
          ...{ requests: keys.requests, tokens: keys.seconds, ...keys.details },
        },
      }),
    }
  }
}

function columnsOf(
  sums: ReadonlyMap<string | null, ReadonlyMap<string, Exact[]>>,
  combinations: CombinationList | null,
) {
  const columns = { names: [] as string[], requests: [] as number[], seconds: [] as number[] }
  const details = new DetailRows()
  for (const [combination, byName] of sums) {
    for (const [name, values] of byName) {
      for (const [requests, seconds, ...measures] of sharesOf(values)) {
        columns.names.push(name)
        columns.requests.push(requests!)
        columns.seconds.push(seconds!)
        details.push(combinations?.indexOf(combination) ?? null, measures)
      }
    }
  }
  return { ...columns, details: combinations === null ? {} : details.toColumns() }
}

/** Returns what an event added to accounts and its entries for unknown keys, as columns. */
export function toReversed(
  posted: PostedAmounts,
  unknown: UnknownAmounts,
): { amounts: Amounts; unknown: Unknown } {
  const hasDetails = posted.hasDetails || unknown.hasDetails
  const combinations = hasDetails ? new CombinationList() : null
  const amounts = posted.toAmounts(combinations)
  const withdrawn = unknown.toColumns(combinations)
  return {
    amounts: { ...(combinations && { combinations: combinations.texts }), ...amounts },
    unknown: withdrawn,
  }
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
  for (const entries of unknownOf({ type: 'EventReversed', data: reversal }, flush.recordedAt)) {
    const adopted = await readAdopted(transaction, entries.kind, entries.names, flush)
    for (const [i, name] of entries.names.entries()) {
      const by = adopted.get(name)
      if (by) posted.add(postingsOf(entries, i, by))
      else left.addEntry(entries, i)
    }
  }
  const divided = toReversed(posted, left)
  return {
    ...rest,
    ...divided.amounts,
    ...(Object.keys(divided.unknown).length > 0 && { unknown: divided.unknown }),
  }
}

/** How an adoption counted a name: for which account, and group or quota. */
type Adopted = { account: number | string; group: number; isTracked: boolean }

/** Returns what an adoption counted for entry i. */
function postingsOf(
  { kind, requests, seconds, details }: UnknownEntries,
  i: number,
  { account, group, isTracked }: Adopted,
): Postings[] {
  const index = details?.combination[i] ?? null
  const range = {
    ...{ maxima: [], start: 0, end: 1 },
    ...(index !== null && {
      details: {
        ...{ combinations: details!.combinations, combination: [index] },
        measures: details!.measures.map(({ number, values }) => {
          return { number, values: [values[i]!] }
        }),
      },
    }),
  }
  if (kind === 'key') {
    const sums = [[requests[i]!], [seconds[i]!], [isTracked ? seconds[i]! : 0]]
    return [{ kind, accounts: account, sums, ...range }]
  }
  const sums = [[requests[i]!], [seconds[i]!]]
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
  const resharded = await readLastResharding(transaction)
  const rows = await transaction<{ position: string }[]>`
    select e.position
    from acts a
      join events e on e.shard = 0 and e.position = a.position
    where a.generation = ${liveGeneration(transaction, bookkeeping.name)}
      and a.type = 'UnknownKeysAdopted'
      and case
        when e.position < ${resharded}
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
