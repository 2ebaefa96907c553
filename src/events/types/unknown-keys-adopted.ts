import {
  type DetailColumns,
  decodeCombinations,
  decodeDetailColumns,
  decodeTexts,
  splitByDetails,
} from '../amounts.ts'
import {
  decodeColumns,
  isCount,
  isId,
  isStorable,
  LAST_UNIX_SECOND,
  PayloadError,
} from '../columns.ts'
import type { EventDefinition } from '../definition.ts'
import { TIME } from '../instant.ts'
import type { Postings } from '../postings.ts'

/**
 * Payload of `UnknownKeysAdopted`, version 1: counts what the log held for keys that flushes named
 * before the catalog had them, in the quarter hours where it was posted. Index i of every column is
 * one name in one quarter hour; rows are in order of time. Through `heads`, one position for each
 * shard, everything is counted that was posted under these names; `until` is the time of the newest
 * event there.
 *
 *     {"heads":[41,7],"until":"2026-01-31T12:29:59.999999+00:00",
 *      "api_keys":{"ids":[7],"groups":[1],"names":["ext:sk-9f"],
 *        "times":["2026-01-31T12:15:00.000000+00:00"],"requests":[5],"successes":[4],
 *        "flushes":[2]},
 *      "keys":{"hashes":["3f08…"],"times":["2026-01-31T12:15:00.000000+00:00"],"requests":[1],
 *        "tokens":[10],"quota_used":[10],"last_accessed_at":[1700000000],"flushes":[1]}}
 *
 * Version 2 is written if entries had dimensions or measures. A row is then what was posted with
 * one combination, or without any, and a flush is counted in the first row of a name and quarter
 * hour that it has:
 *
 *     "combinations":["{\"model\":\"gpt-5\"}"],
 *     "api_keys":{…,"flushes":[2,0],"combination":[null,0],"measures":{"0":[0,1200]}}
 */
export type Adoption = {
  heads: number[]
  until: string
  /** Combinations of dimension values (see `formatCombination`), if rows have some. */
  combinations?: string[]
  api_keys?: {
    ids: number[]
    /** 0 for an API key without a group. */
    groups: number[]
    /** The names under which the key was posted; see `nameOfApiKey`. */
    names: string[]
    times: string[]
    requests: number[]
    successes: number[]
    flushes: number[]
  } & DetailColumns
  keys?: {
    hashes: string[]
    times: string[]
    requests: number[]
    tokens: number[]
    quota_used: number[]
    last_accessed_at: number[]
    flushes: number[]
  } & DetailColumns
}

/** An adoption: totals, and usage of the quarter hours in which flushes named the keys. */
export const unknownKeysAdopted: EventDefinition<Adoption> = {
  version: 1,
  versionOf: ({ combinations }) => (combinations === undefined ? 1 : 2),
  read: { 1: (payload) => decodeAdoption(payload), 2: decodeDetailed },
  postsTo: ['provider_group', 'api_key', 'key'],
  post,
  toRows: () => null,
}

const NONE: readonly number[][] = []

function post({ api_keys, keys, combinations }: Adoption): Postings[] {
  const postings: Postings[] = []
  const add = (
    times: readonly string[],
    columns: Pick<Postings, 'kind' | 'accounts' | 'sums' | 'maxima'>,
    details: DetailColumns,
  ) => {
    for (let start = 0, end = 0; start < times.length; start = end) {
      const countedAt = times[start]!
      while (times[end] === countedAt) end++
      const whole = { ...columns, start, end, countedAt, isSigned: true }
      if (combinations === undefined) postings.push(whole)
      else postings.push(...splitByDetails(...cutRows(whole, details), combinations))
    }
  }
  if (api_keys) {
    const { ids, groups, times, requests, successes } = api_keys
    const sums = [requests, successes]
    add(times, { kind: 'api_key', accounts: ids, sums, maxima: NONE }, api_keys)
    const grouped = <Value>(column: readonly Value[]) => column.filter((_, i) => groups[i] !== 0)
    add(
      grouped(times),
      {
        kind: 'provider_group',
        accounts: grouped(groups),
        sums: sums.map(grouped),
        maxima: NONE,
      },
      mapDetails(api_keys, grouped),
    )
  }
  if (keys) {
    const { hashes, times, requests, tokens, quota_used, last_accessed_at } = keys
    const sums = [requests, tokens, quota_used]
    add(times, { kind: 'key', accounts: hashes, sums, maxima: [last_accessed_at] }, keys)
  }
  return postings
}

/** Returns the rows of postings from `start` to `end` in columns of their own. */
function cutRows(postings: Postings, details: DetailColumns): [Postings, DetailColumns] {
  const { start, end, accounts, sums, maxima } = postings
  const cut = <Value>(column: readonly Value[]) => column.slice(start, end)
  const own = cut(accounts as readonly (number | string)[])
  const rows = { accounts: own, sums: sums.map(cut), maxima: maxima.map(cut) }
  return [{ ...postings, ...rows, start: 0, end: end - start }, mapDetails(details, cut)]
}

const mapDetails = (
  { combination = [], measures = {} }: DetailColumns,
  map: <Value>(column: readonly Value[]) => Value[],
): DetailColumns => ({
  combination: map(combination),
  measures: Object.fromEntries(
    Object.entries(measures).map(([number, column]) => [number, map(column)]),
  ),
})

function decodeDetailed(payload: unknown): Adoption {
  const adoption = decodeAdoption(payload)
  const { combinations } = decodeCombinations(payload as object)
  if (combinations === undefined) throw new PayloadError('an older version would do')
  const { api_keys, keys } = payload as Record<'api_keys' | 'keys', unknown>
  const detailsOf = (rows: unknown, { length }: readonly number[]) =>
    decodeDetailColumns(rows, length, combinations.length, isCount)
  return {
    ...{ ...adoption, combinations },
    ...(adoption.api_keys && {
      api_keys: { ...adoption.api_keys, ...detailsOf(api_keys, adoption.api_keys.requests) },
    }),
    ...(adoption.keys && {
      keys: { ...adoption.keys, ...detailsOf(keys, adoption.keys.requests) },
    }),
  }
}

function decodeAdoption(payload: unknown): Adoption {
  const { until } = decodeTexts(payload, { until: TIME })
  const { heads } = decodeColumns(payload, { heads: isHead }) as { heads: number[] }
  const { api_keys, keys } = payload as Record<'api_keys' | 'keys', unknown>
  const adoption: Adoption = { heads, until }
  if (api_keys !== undefined) {
    adoption.api_keys = decodeColumns(api_keys, {
      ...{ ids: isId, groups: isCount, names: isApiKeyName, times: isTime },
      ...{ requests: isCount, successes: isCount, flushes: isCount },
    }) as NonNullable<Adoption['api_keys']>
    const { requests, successes } = adoption.api_keys
    if (successes.some((count, i) => count > requests[i]!)) {
      throw new PayloadError('more successes than requests')
    }
  }
  if (keys !== undefined) {
    adoption.keys = decodeColumns(keys, {
      ...{ hashes: isName, times: isTime, requests: isCount, tokens: isCount },
      ...{ quota_used: isCount, last_accessed_at: isAccess, flushes: isCount },
    }) as NonNullable<Adoption['keys']>
  }
  for (const times of [adoption.api_keys?.times, adoption.keys?.times]) {
    if (times?.some((time, i) => i > 0 && time < times[i - 1]!)) {
      throw new PayloadError('times are not in order')
    }
  }
  return adoption
}

const isHead = (head: unknown) => Number.isSafeInteger(head) && (head as number) >= -1
const isName = (name: unknown) => typeof name === 'string' && name !== '' && isStorable(name)
/** See `nameOfApiKey`. */
const isApiKeyName = (name: unknown) =>
  isName(name) && /^(?:[1-9]\d{0,15}|ext:.+)$/s.test(name as string)
const isTime = (time: unknown) => typeof time === 'string' && TIME.test(time)
const isAccess = (at: unknown) => isCount(at) && (at as number) <= LAST_UNIX_SECOND
