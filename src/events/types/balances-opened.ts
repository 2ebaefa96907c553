import { type Amounts, decodeAmounts, decodeTexts, postAmounts } from '../amounts.ts'
import { isCount, PayloadError } from '../columns.ts'
import type { EventDefinition } from '../definition.ts'
import { TIME } from '../instant.ts'
import { latestAccess } from '../key-flush.ts'

/**
 * Payload of `BalancesOpened`, version 1: what an older system had counted until `as_of`.
 *
 *     {"as_of":"2026-11-01T00:00:00.000000+00:00","origin":{"system":"ez-api","note":null},
 *      "provider_groups":{"ids":[1],"requests":[1000],"successes":[990]},
 *      "keys":{"hashes":["3f08…"],"requests":[3],"tokens":[50],"quota_used":[40],
 *        "last_accessed_at":[1700000000]}}
 */
export type Opening = Amounts & {
  as_of: string
  origin: { system: string; note: string | null }
}

/** Opening balances: totals, but no usage of any hour. */
export const balancesOpened: EventDefinition<Opening> = {
  version: 1,
  read: { 1: decodeOpening },
  postsTo: ['provider_group', 'api_key', 'key'],
  post: (opening, recordedAt) => postAmounts(boundAccess(opening, recordedAt), 1, null),
  toRows: () => null,
}

function decodeOpening(payload: unknown): Opening {
  const { as_of } = decodeTexts(payload, { as_of: TIME })
  const { origin } = payload as { origin: { note: unknown } }
  const { system } = decodeTexts(origin, { system: /^.{1,255}$/s })
  const note = origin.note === null ? null : decodeTexts(origin, { note: /^/ }).note
  const amounts = decodeAmounts(payload as object, isCount, { mayHaveAccesses: true })
  for (const rows of [amounts.provider_groups, amounts.api_keys]) {
    if (rows?.successes.some((count, i) => count > rows.requests[i]!)) {
      throw new PayloadError('more successes than requests')
    }
  }
  const { provider_groups, api_keys, keys } = amounts
  for (const accounts of [provider_groups?.ids, api_keys?.ids, keys?.hashes]) {
    if (accounts && new Set<number | string>(accounts).size < accounts.length) {
      throw new PayloadError('an account is opened twice')
    }
  }
  return { as_of, origin: { system, note }, ...amounts }
}

/** No key was used in the future. */
function boundAccess({ keys, ...others }: Amounts, recordedAt: string): Amounts {
  if (keys === undefined) return others
  const latest = latestAccess(recordedAt)
  const last_accessed_at = keys.last_accessed_at?.map((at) => Math.min(at, latest)) ?? []
  return { ...others, keys: { ...keys, last_accessed_at } }
}
