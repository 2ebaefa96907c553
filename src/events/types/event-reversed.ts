import { type Amounts, decodeAmounts, decodeTexts, isDifference, postAmounts } from '../amounts.ts'
import { PayloadError } from '../columns.ts'
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
 */
export type Reversal = Amounts & {
  reversed: string
  type: (typeof REVERSIBLE)[number]
  at: string
  reason: string
}

/** A reversal: totals, and usage of the hours in which the reversed event stood. */
export const eventReversed: EventDefinition<Reversal> = {
  version: 1,
  read: { 1: decodeReversal },
  postsTo: ['provider_group', 'api_key', 'key'],
  post: (reversal) => postAmounts(reversal, -1, isInUsage(reversal) ? reversal.at : null),
  toRows: () => null,
}

const isInUsage = ({ type }: Reversal) =>
  type === 'ApiKeyStatsFlushed' || type === 'KeyStatsFlushed'

function decodeReversal(payload: unknown): Reversal {
  const texts = decodeTexts(payload, {
    reversed: new RegExp(PLACE),
    type: /^/,
    at: TIME,
    reason: REASON,
  })
  const type = REVERSIBLE.find((name) => name === texts.type)
  if (type === undefined) throw new PayloadError('an event of this type can not be reversed')
  return { ...texts, type, ...decodeAmounts(payload as object, isDifference) }
}
