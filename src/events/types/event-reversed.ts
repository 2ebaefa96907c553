import {
  type Amounts,
  type DetailColumns,
  decodeAmounts,
  decodeDetailColumns,
  decodeTexts,
  isDifference,
  postAmounts,
} from '../amounts.ts'
import { decodeColumns, isCount, isStorable, PayloadError } from '../columns.ts'
import type { EventDefinition } from '../definition.ts'
import { TIME } from '../instant.ts'
import { REVERSIBLE } from '../reversible.ts'
import { PLACE } from '../statement.ts'
import { REASON } from './reason.ts'

/**
 * Payload of `EventReversed`, version 1: takes back what another event counted. It states the type
 * of that event, and its time `at`: of a flush when it was recorded, of opening balances their
 * `as_of`, of an adjustment when it was recorded. The amounts are those that the event had added.
 *
 *     {"reversed":"0/41","type":"ApiKeyStatsFlushed","at":"2026-01-31T12:00:00.123456+00:00",
 *      "reason":"posted twice","api_keys":{"ids":[7],"requests":[10],"successes":[9]}}
 *
 * Version 2 is written for a flush that named keys which are still unknown. It withdraws these
 * entries, so that no adoption counts them:
 *
 *     "unknown":{"api_keys":{"names":["ext:sk-9f"],"requests":[1],"successes":[1]},
 *      "keys":{"hashes":["3f08…"],"requests":[1],"tokens":[10]}}
 *
 * Version 3 is written for a flush with dimensions or measures: its amounts have them (see
 * `DetailColumns`), and so do the entries that it withdraws.
 */
export type Reversal = Amounts & {
  reversed: string
  type: (typeof REVERSIBLE)[number]
  at: string
  reason: string
  unknown?: Unknown
}

type Unknown = {
  api_keys?: { names: string[]; requests: number[]; successes: number[] } & DetailColumns
  keys?: { hashes: string[]; requests: number[]; tokens: number[] } & DetailColumns
}

/** A reversal: totals, and usage of the hours in which the reversed event stood. */
export const eventReversed: EventDefinition<Reversal> = {
  version: 1,
  versionOf: ({ unknown, combinations }) => {
    if (combinations !== undefined) return 3
    return unknown === undefined ? 1 : 2
  },
  read: {
    1: (payload) => decodeReversal(payload),
    2: (payload) => decodeWithdrawn(payload, decodeReversal(payload)),
    3: decodeDetailed,
  },
  postsTo: ['provider_group', 'api_key', 'key'],
  post: (reversal) => postAmounts(reversal, -1, isInUsage(reversal) ? reversal.at : null),
  toRows: () => null,
}

const isInUsage = ({ type }: Reversal) =>
  type === 'ApiKeyStatsFlushed' || type === 'KeyStatsFlushed'

function decodeDetailed(payload: unknown): Reversal {
  const reversal = decodeReversal(payload, true)
  if (reversal.combinations === undefined) throw new PayloadError('an older version would do')
  return 'unknown' in (payload as object) ? decodeWithdrawn(payload, reversal) : reversal
}

function decodeReversal(payload: unknown, withDetails = false): Reversal {
  const texts = decodeTexts(payload, {
    reversed: new RegExp(PLACE),
    type: /^/,
    at: TIME,
    reason: REASON,
  })
  const type = REVERSIBLE.find((name) => name === texts.type)
  if (type === undefined) throw new PayloadError('an event of this type can not be reversed')
  return { ...texts, type, ...decodeAmounts(payload as object, isDifference, { withDetails }) }
}

function decodeWithdrawn(payload: unknown, reversal: Reversal): Reversal {
  const { unknown } = payload as { unknown: { api_keys?: unknown; keys?: unknown } }
  if (typeof unknown !== 'object' || unknown === null) throw new PayloadError('no unknown keys')
  const isName = (name: unknown) => typeof name === 'string' && name !== '' && isStorable(name)
  const { combinations } = reversal
  const decode = (rows: unknown, columns: Record<string, (value: unknown) => boolean>) => {
    const decoded = decodeColumns(rows, columns)
    const { length } = decoded.requests!
    const hasDetails = combinations !== undefined
    const details = hasDetails && decodeDetailColumns(rows, length, combinations.length, isCount)
    return { ...decoded, ...details }
  }
  const decoded: Unknown = {}
  if (unknown.api_keys !== undefined) {
    const columns = { names: isName, requests: isCount, successes: isCount }
    decoded.api_keys = decode(unknown.api_keys, columns) as Unknown['api_keys'] & object
  }
  if (unknown.keys !== undefined) {
    const columns = { hashes: isName, requests: isCount, tokens: isCount }
    decoded.keys = decode(unknown.keys, columns) as Unknown['keys'] & object
  }
  return { ...reversal, unknown: decoded }
}
