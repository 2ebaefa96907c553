import { type Amounts, decodeAmounts, decodeTexts, isDifference, postAmounts } from '../amounts.ts'
import type { EventDefinition } from '../definition.ts'
import { REASON } from './reason.ts'

/**
 * Payload of `TotalsAdjusted`, version 1: differences, positive or negative, that an administrator
 * found.
 *
 *     {"reason":"counted by hand","api_keys":{"ids":[7],"requests":[-5],"successes":[-5]}}
 */
export type Adjustment = Amounts & { reason: string }

/** An adjustment: totals, but no usage of any hour. */
export const totalsAdjusted: EventDefinition<Adjustment> = {
  version: 1,
  read: {
    1: (payload) => ({
      ...decodeTexts(payload, { reason: REASON }),
      ...decodeAmounts(payload as object, isDifference),
    }),
  },
  postsTo: ['provider_group', 'api_key', 'key'],
  post: (adjustment) => postAmounts(adjustment, 1, null),
  toRows: () => null,
}
