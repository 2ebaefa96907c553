import { sameRows } from './columns.ts'
import {
  columnsToCompare,
  type Declared,
  type Details,
  measuresOf,
  type PostedDetails,
  reorderDetails,
  resolveDetails,
  type Undeclared,
} from './details.ts'
import { IdSlots } from './id-slots.ts'

/** Entries by column; index i of every column is one entry, in the order posted. */
export type ApiKeyEntries = {
  /** 0 if an entry names its key by external id only. */
  ids: number[]
  requests: number[]
  successes: number[]
  /**
   * External ids of keys that are not looked up yet, or that no key has; null for an entry without
   * one. Absent if there are none.
   */
  names?: (string | null)[]
  /** Absent if no entry has dimensions or measures. */
  details?: Details
}

/** Entries as posted, with the place in the body of each that has a name. */
export type PostedApiKeyEntries = Omit<ApiKeyEntries, 'details'> & {
  places?: number[]
  details?: PostedDetails
}

/**
 * The content of an `ApiKeyStatsFlushed` event. Entries are ordered in runs by the provider group
 * that counted them when they were appended: run j is the next `counts[j]` entries and belongs to
 * `groups[j]`, which is 0 for known keys without a group (or whose group is unknown) and null for
 * unknown keys. No two runs have the same group.
 */
export type ApiKeyFlush = ApiKeyEntries & {
  groups: (number | null)[]
  counts: number[]
  /** When it was counted, in Unix seconds, if it was posted with a time of its own. */
  counted_at?: number
  /** Its numbers in the sequence of its sender, as sent (see sequence.ts), if it has any. */
  sequence?: string
}

/** Response body: the numbers of distinct known keys with requests and of their known groups. */
export type ApiKeyFlushAnswer = { updated: number; groups_updated: number }

/** Returns the group that counts for a key: 0 if there is none, null if the key is unknown. */
export type GroupOf = (apiKeyId: number) => number | null

/** The look-ups in the catalog that attribution of API keys needs. */
export type ApiKeys = {
  groupOf: GroupOf
  /** Returns the id of the key with an external id, or null if there is none. */
  apiKeyIdOf: (externalId: string) => number | null
  /** Returns the external id of a key, or null if it has none. */
  externalIdOf: (apiKeyId: number) => string | null
}

/** The place in the body of an entry whose id and external id name two keys. */
export type NamesTwoKeys = { twoKeysAt: number }

/** Looks up what entries name: external ids, and dimensions and measures. */
export function resolveApiKeyEntries(
  entries: PostedApiKeyEntries,
  catalog: ApiKeys & Declared,
): ApiKeyEntries | NamesTwoKeys | Undeclared {
  const resolved = resolveNames(entries, catalog)
  if ('twoKeysAt' in resolved || entries.details === undefined) return resolved
  const declared = resolveDetails(entries.details, catalog)
  return 'undeclared' in declared ? declared : { ...resolved, details: declared }
}

/**
 * Replaces the external ids of keys by their ids. An external id that no key has is kept, and then
 * names the entry's key, whether there is an id, too, or not.
 */
function resolveNames(
  entries: Omit<PostedApiKeyEntries, 'details'>,
  keys: ApiKeys,
): ApiKeyEntries | NamesTwoKeys {
  const { names, ids, requests, successes, places } = entries
  if (names === undefined) return entries
  const resolved = ids.slice()
  const unresolved = new Array<string | null>(names.length).fill(null)
  for (const [i, name] of names.entries()) {
    if (name === null) continue
    const posted = ids[i]!
    const id = keys.apiKeyIdOf(name)
    const isOther = id === null ? isKnown(posted, keys) : posted !== id
    if (posted !== 0 && isOther) return { twoKeysAt: places?.[i] ?? i }
    if (id === null) unresolved[i] = name
    else resolved[i] = id
  }
  const rest = unresolved.every((name) => name === null) ? {} : { names: unresolved }
  return { ids: resolved, requests, successes, ...rest }
}

const isKnown = (id: number, { groupOf, externalIdOf }: ApiKeys) =>
  groupOf(id) !== null || externalIdOf(id) !== null

/** Reused, as one call at a time uses each. */
const runSlots = new IdSlots()
const updatedSlots = new IdSlots()

/**
 * Attributes each entry, after `resolveApiKeyEntries`. Orders entries by group, and groups by first
 * appearance.
 */
export function attributeApiKeyFlush(entries: ApiKeyEntries, groupOf: GroupOf): ApiKeyFlush {
  const { length } = entries.ids
  const groups: (number | null)[] = []
  const counts: number[] = []
  const runs = new Uint32Array(length)
  runSlots.begin()
  for (let i = 0; i < length; i++) {
    const group = groupOf(entries.ids[i]!)
    const run = runSlots.slotOf(group === null ? 0 : group + 1)
    if (run === groups.length) {
      groups.push(group)
      counts.push(0)
    }
    runs[i] = run
    counts[run]!++
  }
  if (groups.length === 1) return { groups, counts, ...entries }
  // The index of each run's next entry. This takes half the time of collecting an array per run.
  const next = new Uint32Array(counts.length)
  for (let run = 1; run < next.length; run++) next[run] = next[run - 1]! + counts[run - 1]!
  const ids = new Array<number>(length)
  const requests = new Array<number>(length)
  const successes = new Array<number>(length)
  const names = entries.names && new Array<string | null>(length)
  const places = runs
  for (let i = 0; i < length; i++) {
    const at = next[runs[i]!]!++
    places[i] = at
    ids[at] = entries.ids[i]!
    requests[at] = entries.requests[i]!
    successes[at] = entries.successes[i]!
    if (names !== undefined) names[at] = entries.names![i]!
  }
  const details = entries.details && reorderDetails(entries.details, places)
  return {
    ...{ groups, counts, ids, requests, successes },
    ...(names && { names }),
    ...(details && { details }),
  }
}

/** Returns the answer to a flush. It follows from the event alone, so a replay gets the same. */
export function answerApiKeyFlush(flush: ApiKeyFlush): ApiKeyFlushAnswer {
  let groups = 0
  let i = 0
  updatedSlots.begin()
  for (let run = 0; run < flush.groups.length; run++) {
    const end = i + flush.counts[run]!
    if (flush.groups[run] === null) {
      i = end
      continue
    }
    let counts = false
    for (; i < end; i++) {
      if (flush.requests[i] === 0) continue
      updatedSlots.slotOf(flush.ids[i]!)
      counts = true
    }
    // Each run has another group; 0 means none.
    if (counts && flush.groups[run] !== 0) groups++
  }
  return { updated: updatedSlots.count, groups_updated: groups }
}

/**
 * True if both have the same entries, in any order, whether they name a key by its id or by its
 * external id.
 */
export function sameApiKeyEntries(
  a: ApiKeyEntries,
  b: PostedApiKeyEntries,
  apiKeyIdOf: ApiKeys['apiKeyIdOf'],
): boolean {
  const hasDetails = a.details !== undefined || b.details !== undefined
  const measures = measuresOf(a.details, b.details)
  const rowsOf = (entries: PostedApiKeyEntries) => [
    keysOf(entries, apiKeyIdOf),
    entries.requests,
    entries.successes,
    ...(hasDetails ? columnsToCompare(entries.details, measures, entries.ids.length) : []),
  ]
  return sameRows(rowsOf(a), rowsOf(b))
}

/** Returns the key of each entry: its id, or an external id that no key has. */
function keysOf({ ids, names }: PostedApiKeyEntries, apiKeyIdOf: ApiKeys['apiKeyIdOf']) {
  if (names === undefined) return ids
  return ids.map((id, i) => (names[i] === null ? id : (apiKeyIdOf(names[i]!) ?? names[i])))
}
