import type { ApiKeyFlush } from './api-key-flush.ts'
import { decodeColumns, isCount, isId, isStorable, PayloadError } from './columns.ts'
import { type DecodeExtras, encodeExtras } from './extras.ts'
import { pack, unpack } from './packed.ts'

/** The version in which a flush is written. */
export function versionOfApiKeyFlush(flush: ApiKeyFlush): number {
  const { names, details, counted_at, sequence } = flush
  if (sequence !== undefined) return 6
  if (details !== undefined) return 5
  if (counted_at !== undefined) return 4
  return names === undefined ? 2 : 3
}

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
  if (versionOfApiKeyFlush(flush) >= 4) return encodePacked(flush)
  const { groups, counts, ids, requests, successes, names } = flush
  const failing: number[] = []
  const failures: number[] = []
  for (let i = 0; i < ids.length; i++) {
    if (successes[i] === requests[i]) continue
    failing.push(i)
    failures.push(requests[i]! - successes[i]!)
  }
  const columns = { groups, counts, ids, requests, failing, failures }
  return JSON.stringify({ ...columns, ...encodeNames(names) })
}

function encodeNames(names: ApiKeyFlush['names']) {
  if (names === undefined) return {}
  const named = [...names.keys()].filter((i) => names[i] !== null)
  return { named, names: named.map((i) => names[i]) }
}

/**
 * Encodes a payload of version 4, for flushes with a time of their own, of version 5, for those
 * with dimensions or measures, or of version 6, for those with a sequence. Its columns of numbers
 * are packed; names are as in version 3, details as in details-payload.ts.
 *
 *     {"groups":[1,0,null],"counts":[2,1,1],"ids":[10,"AEAIAQMJ"],"requests":[3,"fYg="],
 *      "failures":[2,"gQ=="],"counted_at":1700000000}
 */
function encodePacked(flush: ApiKeyFlush): string {
  const { groups, counts, ids, requests, successes, names, ...extras } = flush
  return JSON.stringify({
    ...{ groups, counts, ids: pack(ids), requests: pack(requests) },
    failures: pack(requests.map((count, i) => count - successes[i]!)),
    ...encodeNames(names),
    ...encodeExtras(extras),
  })
}

/** Reads a stored payload of version 2. Throws PayloadError if no append could have written it. */
export function decodeApiKeyFlush(payload: unknown): ApiKeyFlush {
  return decodeEntries(payload, isId)
}

/** Reads a stored payload of version 3. Throws PayloadError if no append could have written it. */
export function decodeApiKeyFlush3(payload: unknown): ApiKeyFlush {
  return decodeNames(payload, decodeEntries(payload, isCount))
}

/**
 * Reads a stored payload with packed columns, and its extras by `decode`. Throws PayloadError
 * if no append could have written it.
 */
export function decodePackedApiKeyFlush(payload: unknown, decode: DecodeExtras): ApiKeyFlush {
  const { counts } = decodeColumns(payload, { counts: isCount }) as { counts: number[] }
  const length = counts.reduce((sum, count) => sum + count, 0)
  const packed = payload as Record<'ids' | 'requests' | 'failures' | 'named', unknown>
  if (length > maxEntries(packed)) throw new PayloadError('runs do not cover the entries')
  const ids = unpack(packed.ids, length, 'ids')
  const requests = unpack(packed.requests, length, 'requests')
  const failures = unpack(packed.failures, length, 'failures')
  if (failures.some((count, i) => count > requests[i]!)) {
    throw new PayloadError('failures without requests')
  }
  const flush: ApiKeyFlush = {
    ...decodeRuns(payload, length),
    ...{ ids, requests, successes: requests.map((count, i) => count - failures[i]!) },
    ...decode(payload as object, length),
  }
  const hasNames = 'named' in (payload as object)
  if (!hasNames && ids.includes(0)) throw new PayloadError('an entry names no key')
  return hasNames ? decodeNames(payload, flush) : flush
}

/**
 * Returns how many entries a payload can have at most. An entry names a key by its id, which takes
 * a bit at least, or by its name. All other columns may take no space at all.
 */
function maxEntries({ ids, named }: { ids: unknown; named: unknown }): number {
  const base64: unknown = Array.isArray(ids) ? ids[1] : ''
  const bits = typeof base64 === 'string' ? base64.length * 6 : 0
  return bits + (Array.isArray(named) ? named.length : 0)
}

function decodeNames(payload: unknown, flush: ApiKeyFlush): ApiKeyFlush {
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
