import { decodeColumns, isCount, isId, PayloadError, sameRows } from './columns.ts'

/** What was posted, a column each; index i of every column is one entry, in the order posted. */
export type ApiKeyEntries = {
  ids: number[]
  requests: number[]
  successes: number[]
}

/**
 * Payload of `ApiKeyStatsFlushed`, version 1. Entries are grouped into runs by the provider group
 * that counted them when they were appended: run j is the next `counts[j]` entries and belongs to
 * `groups[j]`. 0: a known key without a group (or whose group isn't known). null: the key isn't
 * known.
 *
 *     {"groups":[1,0,null],"counts":[2,1,1],
 *      "ids":[1,2,4,777],"requests":[3,5,4,1],"successes":[1,5,4,0]}
 */
export type ApiKeyFlush = ApiKeyEntries & {
  groups: (number | null)[]
  counts: number[]
}

/** Body of the answer: distinct known keys with requests, and distinct known groups of theirs. */
export type ApiKeyFlushAnswer = { updated: number; groups_updated: number }

/** The group that counts for a key: 0 none, null where the key isn't known. */
export type GroupOf = (apiKeyId: number) => number | null

/**
 * Writes down how each entry is resolved: entries by group, groups in order of first appearance.
 */
export function resolveApiKeyFlush(entries: ApiKeyEntries, groupOf: GroupOf): ApiKeyFlush {
  const runs = new Map<number | null, number[]>()
  for (let i = 0; i < entries.ids.length; i++) {
    const group = groupOf(entries.ids[i]!)
    const run = runs.get(group)
    if (run) run.push(i)
    else runs.set(group, [i])
  }
  const flush: ApiKeyFlush = { groups: [], counts: [], ids: [], requests: [], successes: [] }
  for (const [group, indexes] of runs) {
    flush.groups.push(group)
    flush.counts.push(indexes.length)
    for (const i of indexes) {
      flush.ids.push(entries.ids[i]!)
      flush.requests.push(entries.requests[i]!)
      flush.successes.push(entries.successes[i]!)
    }
  }
  return flush
}

/** The answer to a flush. It follows from the event alone, so a replay is answered alike. */
export function answerApiKeyFlush(flush: ApiKeyFlush): ApiKeyFlushAnswer {
  const updated = new Set<number>()
  const groups = new Set<number>()
  let i = 0
  flush.groups.forEach((group, run) => {
    for (const end = i + flush.counts[run]!; i < end; i++) {
      if (group === null || flush.requests[i] === 0) continue
      updated.add(flush.ids[i]!)
      if (group > 0) groups.add(group)
    }
  })
  return { updated: updated.size, groups_updated: groups.size }
}

/** True where both have the same entries, in any order. */
export function sameApiKeyEntries(a: ApiKeyEntries, b: ApiKeyEntries): boolean {
  return sameRows([a.ids, a.requests, a.successes], [b.ids, b.requests, b.successes])
}

/**
 * Reads a stored payload. Throws PayloadError where it could not have been written by an append.
 */
export function decodeApiKeyFlush(payload: unknown): ApiKeyFlush {
  const columns = decodeColumns(payload, {
    ids: isId,
    requests: isCount,
    successes: isCount,
  })
  const runs = decodeColumns(payload, {
    groups: (group) => group === null || isCount(group),
    counts: isCount,
  })
  let length = 0
  for (const count of runs.counts as number[]) length += count
  if (length !== columns.ids.length) throw new PayloadError('runs do not cover the entries')
  return { ...columns, ...runs } as ApiKeyFlush
}
