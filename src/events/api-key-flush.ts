import { decodeColumns, isCount, isId, isStorable, PayloadError, sameRows } from './columns.ts'
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
}

/** Entries as posted, with the place in the body of each that has a name. */
export type PostedApiKeyEntries = ApiKeyEntries & { places?: number[] }

/**
 * The content of an `ApiKeyStatsFlushed` event. Entries are ordered in runs by the provider group
 * that counted them when they were appended: run j is the next `counts[j]` entries and belongs to
 * `groups[j]`, which is 0 for known keys without a group (or whose group is unknown) and null for
 * unknown keys. No two runs have the same group.
 */
export type ApiKeyFlush = ApiKeyEntries & {
  groups: (number | null)[]
  counts: number[]
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

/**
 * Replaces the external ids of keys by their ids. An external id that no key has is kept, and then
 * names the entry's key, whether there is an id, too, or not.
 */
export function resolveNames(
  entries: PostedApiKeyEntries,
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
 * Attributes each entry, after `resolveNames`. Orders entries by group, and groups by first
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
  for (let i = 0; i < length; i++) {
    const at = next[runs[i]!]!++
    ids[at] = entries.ids[i]!
    requests[at] = entries.requests[i]!
    successes[at] = entries.successes[i]!
    if (names !== undefined) names[at] = entries.names![i]!
  }
  return { groups, counts, ids, requests, successes, ...(names && { names }) }
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
  b: ApiKeyEntries,
  apiKeyIdOf: ApiKeys['apiKeyIdOf'],
): boolean {
  const rowsOf = (entries: ApiKeyEntries) => [
    keysOf(entries, apiKeyIdOf),
    entries.requests,
    entries.successes,
  ]
  return sameRows(rowsOf(a), rowsOf(b))
}

/** Returns the key of each entry: its id, or an external id that no key has. */
function keysOf({ ids, names }: ApiKeyEntries, apiKeyIdOf: ApiKeys['apiKeyIdOf']) {
  if (names === undefined) return ids
  return ids.map((id, i) => (names[i] === null ? id : (apiKeyIdOf(names[i]!) ?? names[i])))
}

/** The version in which a flush is written. */
export const versionOfApiKeyFlush = ({ names }: ApiKeyFlush): number =>
  names === undefined ? 2 : 3

/**
 * Encodes a payload of version 2. Most requests succeed, so it lists only the entries that had
 * failures, by index: this takes a fifth less than a column of successes.
 *
 *     {"groups":[1,0,null],"counts":[2,1,1],"ids":[1,2,4,777],"requests":[3,5,4,1],
 *      "failing":[0,3],"failures":[2,1]}
 *
 * Version 3 is written if external ids were posted that no key has, and lists these in the same way
 * (the id is 0 unless one was posted, too): `"named":[3],"names":["sk-9f"]`.
 */
export function encodeApiKeyFlush(flush: ApiKeyFlush): string {
  const { groups, counts, ids, requests, successes, names } = flush
  const failing: number[] = []
  const failures: number[] = []
  for (let i = 0; i < ids.length; i++) {
    if (successes[i] === requests[i]) continue
    failing.push(i)
    failures.push(requests[i]! - successes[i]!)
  }
  const columns = { groups, counts, ids, requests, failing, failures }
  if (names === undefined) return JSON.stringify(columns)
  const named = [...names.keys()].filter((i) => names[i] !== null)
  return JSON.stringify({ ...columns, named, names: named.map((i) => names[i]) })
}

/**
 * Reads a stored payload of version 2. Throws PayloadError if no append could have written it.
 */
export function decodeApiKeyFlush(payload: unknown): ApiKeyFlush {
  return decodeEntries(payload, isId)
}

/** Reads a stored payload of version 3. Throws PayloadError if no append could have written it. */
export function decodeApiKeyFlush3(payload: unknown): ApiKeyFlush {
  const flush = decodeEntries(payload, isCount)
  const { named, names } = decodeColumns(payload, { named: isCount, names: isName })
  const column = new Array<string | null>(flush.ids.length).fill(null)
  for (const [j, i] of (named as number[]).entries()) {
    if (column[i] !== null) throw new PayloadError('a name without an entry')
    column[i] = names[j] as string
  }
  if (flush.ids.some((id, i) => id === 0 && column[i] === null)) {
    throw new PayloadError('an entry names no key')
  }
  let start = 0
  for (const [run, count] of flush.counts.entries()) {
    const names = column.slice(start, start + count)
    if (flush.groups[run] !== null && names.some((name) => name !== null)) {
      throw new PayloadError('an unknown name is counted')
    }
    start += count
  }
  return { ...flush, names: column }
}

const isName = (name: unknown) => typeof name === 'string' && name !== '' && isStorable(name)

function decodeEntries(payload: unknown, isEntryId: typeof isId): ApiKeyFlush {
  const columns = decodeColumns(payload, { ids: isEntryId, requests: isCount })
  const failed = decodeColumns(payload, { failing: isCount, failures: isCount })
  const requests = columns.requests as number[]
  const successes = requests.slice()
  for (let j = 0; j < failed.failing.length; j++) {
    const i = failed.failing[j] as number
    const left = (successes[i] ?? -1) - (failed.failures[j] as number)
    if (left < 0) throw new PayloadError('failures without requests')
    successes[i] = left
  }
  return {
    ...decodeRuns(payload, requests.length),
    ids: columns.ids as number[],
    requests,
    successes,
  }
}

/**
 * Reads a stored payload of version 1, which had a column of successes:
 *
 *     {"groups":[1,null],"counts":[1,1],"ids":[1,777],"requests":[3,1],"successes":[1,0]}
 */
export function decodeApiKeyFlush1(payload: unknown): ApiKeyFlush {
  const columns = decodeColumns(payload, { ids: isId, requests: isCount, successes: isCount })
  return { ...decodeRuns(payload, columns.ids.length), ...columns } as ApiKeyFlush
}

function decodeRuns(payload: unknown, entries: number): Pick<ApiKeyFlush, 'groups' | 'counts'> {
  const runs = decodeColumns(payload, {
    groups: (group) => group === null || isCount(group),
    counts: isCount,
  })
  let length = 0
  for (const count of runs.counts as number[]) length += count
  if (length !== entries) throw new PayloadError('runs do not cover the entries')
  return runs as Pick<ApiKeyFlush, 'groups' | 'counts'>
}
