import {
  decodeAmounts,
  decodeTexts,
  isDifference,
  type KeyAmounts,
  postAmounts,
} from '../amounts.ts'
import { PayloadError } from '../columns.ts'
import type { EventDefinition } from '../definition.ts'
import { TIME } from '../instant.ts'
import { REASON } from './reason.ts'

/**
 * Payload of `QuotaReset`, version 1: from `at` on, the quota of one token key counts from 0. It
 * takes away what had counted towards the quota in all events recorded at or before `at`, whose
 * positions are `through`, one per shard. A sum too large for one number has several rows.
 *
 *     {"at":"2026-01-31T12:00:00.123456+00:00","through":"0/41,1/7","reason":"new contract",
 *      "keys":{"hashes":["3f08…"],"requests":[0],"tokens":[0],"quota_used":[1002]}}
 *
 * In a log that was resharded, these events are still those recorded at or before `at`.
 */
export type QuotaReset = { at: string; through: string; reason: string; keys: KeyAmounts }

/** A reset: the quota of a token key, but no usage of any hour. */
export const quotaReset: EventDefinition<QuotaReset> = {
  version: 1,
  read: { 1: decodeQuotaReset },
  postsTo: ['key'],
  post: ({ keys }) => postAmounts({ keys }, -1, null),
  toRows: () => null,
}

/** Positions in the log, one per shard. */
export const POSITIONS = /^\d{1,4}\/(?:-1|\d{1,16})(?:,\d{1,4}\/(?:-1|\d{1,16}))*$/

function decodeQuotaReset(payload: unknown): QuotaReset {
  const texts = decodeTexts(payload, { at: TIME, through: POSITIONS, reason: REASON })
  const { keys } = decodeAmounts(payload as object, isDifference)
  if (keys === undefined || new Set(keys.hashes).size !== 1) {
    throw new PayloadError('not the amounts of one token key')
  }
  if ([...keys.requests, ...keys.tokens].some((value) => value !== 0)) {
    throw new PayloadError('a reset takes away only quota')
  }
  return { ...texts, keys }
}
