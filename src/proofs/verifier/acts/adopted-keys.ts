import type { DigestValue } from '../../../events/digest.ts'
import { addExact, type Exact } from '../../../events/exact.ts'
import type { Adoption } from '../../../events/types/unknown-keys-adopted.ts'
import type { Coverage, Flush, Resharding } from './resharding.ts'
import { type EntryDetails, rowDetailsOf, type UnknownKind } from './unknown-entries.ts'
import { type Counts, QuarterWeights } from './weights.ts'

/** Sums over the quarter hours of a name, as they are and weighted. */
export class NameSums {
  readonly counts: [Exact, Exact, Exact] = [0, 0, 0]
  weighted = 0n
  /** What has dimensions or measures, weighted by combination, too. */
  weightedDetails = 0n

  add(
    weights: QuarterWeights,
    quarter: string,
    counts: Counts,
    details: EntryDetails | null,
  ): void {
    if (details !== null) {
      const { combination, measures } = details
      const values = [counts[0], counts[1], ...measures]
      this.weightedDetails += weights.weighDetails(quarter, combination, values)
    }
    for (const [i, count] of counts.entries()) this.counts[i] = addExact(this.counts[i]!, count)
    this.weighted += weights.weigh(quarter, counts)
  }
}

/** What an adoption states of a name: its sums, and its last access (Unix seconds, 0 for none). */
export type Stated = { sums: NameSums; accessed: number }

/** A name of a key, as one adoption has counted it. */
export type AdoptedKey = {
  readonly adoption: Coverage
  readonly kind: UnknownKind
  readonly name: string
  /** The API key that counts it; 0 for a token key. */
  readonly id: number
  /** The provider group that counts it; 0 for none. */
  readonly group: number
  /** Whether its tokens used up a quota; null if it had none. */
  isTracked: boolean | null
  /** Null once it has been compared. */
  stated: Stated | null
}

/** A row of an adoption. */
type Row = Pick<AdoptedKey, 'kind' | 'name' | 'id' | 'group'> & {
  time: string
  counts: Counts
  quotaUsed: number
  accessed: number
  details: EntryDetails | null
}

/** The API keys of the catalog: group, name, end and external id by id. */
type ApiKeys = ReadonlyMap<number | string, readonly DigestValue[]>

/** The names of all keys that adoptions have counted. Memory depends on their number. */
export class AdoptedKeys {
  readonly weights = new QuarterWeights()
  /** The position of the first adoption; Infinity if there is none. */
  first = Infinity
  /** By kind and name, in the order of the adoptions. */
  readonly #byName = new Map<string, AdoptedKey[]>()

  constructor(private readonly resharding: Resharding) {}

  /**
   * Adds an adoption. Returns the names that it counts, and what its rows contradict in the catalog
   * or in each other, or null.
   */
  add(
    adoption: Coverage,
    data: Adoption,
    apiKeys: ApiKeys,
  ): { keys: AdoptedKey[]; contradiction: string | null } {
    this.first = Math.min(this.first, adoption.position)
    let contradiction: string | null = null
    const own = new Map<string, AdoptedKey>()
    for (const row of rowsOf(data)) {
      const key = own.get(keyOf(row)) ?? this.#begin(adoption, row)
      own.set(keyOf(row), key)
      contradiction ??= findContradiction(row, key, apiKeys)
      key.isTracked ??= isTracked(row)
      const stated = key.stated!
      stated.sums.add(this.weights, row.time, row.counts, row.details)
      stated.accessed = Math.max(stated.accessed, row.accessed)
    }
    return { keys: [...own.values()], contradiction }
  }

  /** Returns how adoptions have counted a name, the first adoption first. */
  named(kind: UnknownKind, name: string): readonly AdoptedKey[] {
    return this.#byName.get(keyOf({ kind, name })) ?? []
  }

  /** Returns how a flush was adopted: by the first adoption of the name that covers it. */
  find(kind: UnknownKind, name: string, flush: Flush): AdoptedKey | undefined {
    return this.named(kind, name).find(({ adoption }) => this.resharding.covers(adoption, flush))
  }

  #begin(adoption: Coverage, { kind, name, id, group }: Row): AdoptedKey {
    const stated = { sums: new NameSums(), accessed: 0 }
    const key = { adoption, kind, name, id, group, isTracked: null, stated }
    const keys = this.#byName.get(keyOf(key)) ?? []
    this.#byName.set(keyOf(key), keys)
    keys.push(key)
    return key
  }
}

const keyOf = ({ kind, name }: Pick<Row, 'kind' | 'name'>) => `${kind} ${name}`

function* rowsOf({ api_keys, keys, combinations }: Adoption): Generator<Row> {
  for (const [i, name] of api_keys?.names.entries() ?? []) {
    const { ids, groups, times, requests, successes, flushes } = api_keys!
    yield {
      ...{ kind: 'api_key', name, id: ids[i]!, group: groups[i]!, time: times[i]! },
      counts: [requests[i]!, successes[i]!, flushes[i]!],
      ...{ quotaUsed: 0, accessed: 0, details: rowDetailsOf(combinations, api_keys!, i) },
    }
  }
  for (const [i, name] of keys?.hashes.entries() ?? []) {
    const { times, requests, tokens, quota_used, last_accessed_at, flushes } = keys!
    yield {
      ...{ kind: 'key', name, id: 0, group: 0, time: times[i]! },
      counts: [requests[i]!, tokens[i]!, flushes[i]!],
      ...{ quotaUsed: quota_used[i]!, accessed: last_accessed_at[i]! },
      details: rowDetailsOf(combinations, keys!, i),
    }
  }
}

/** Returns whether the tokens of a row used up a quota, or null if it does not tell. */
function isTracked({ kind, counts: [, tokens], quotaUsed }: Row): boolean | null {
  if (kind === 'api_key' || (tokens === 0 && quotaUsed === 0)) return null
  return quotaUsed > 0
}

function findContradiction(row: Row, key: AdoptedKey, apiKeys: ApiKeys): string | null {
  const { kind, name, id, group, quotaUsed, counts } = row
  if (kind === 'api_key') {
    const externalId = apiKeys.get(id)?.[3]
    if (name !== String(id) && name !== `ext:${externalId}`) return `API key ${id} is not ${name}`
    return id === key.id && group === key.group ? null : `${name} counts for two keys or groups`
  }
  const isPart = quotaUsed !== 0 && quotaUsed !== counts[1]
  const isOther =
    isTracked(row) !== null && key.isTracked !== null && isTracked(row) !== key.isTracked
  return isPart || isOther ? `only a part of the tokens of ${name} uses up its quota` : null
}
