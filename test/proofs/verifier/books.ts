import type { LineEvent } from '../../../src/events/event-line.ts'
import { auditLog, type MemoryAuditOptions, MemoryLog, rewrite } from './memory.ts'

/** What a test changes in the payload of an event. */
// biome-ignore lint/suspicious/noExplicitAny: a test may put anything into a payload.
export type Payload = any

/** Changes the payload of an event as the owner of the database could, and signs the log again. */
export function edit(
  log: MemoryLog,
  event: LineEvent,
  change: (payload: Payload) => unknown,
): void {
  const payload = JSON.parse(event.payload)
  change(payload)
  rewrite(log, event, JSON.stringify(payload))
}

/** Audits the events of a log, without its pages. */
export function auditEvents(log: MemoryLog, options: MemoryAuditOptions = {}) {
  return auditLog(log, { source: { ...log.source(), pages: null }, ...options })
}

/** Formats the place of an event, such as `0/41`. */
export const placeOf = ({ shard, position }: Pick<LineEvent, 'shard' | 'position'>) =>
  `${shard}/${position}`

/**
 * Makes a log of two shards with every kind of act. Shard 1 has flushes of known and unknown keys:
 * API key 777 and token key `b` are adopted, `ext:sk` and `c` are not.
 */
export function makeBooks() {
  const log = new MemoryLog(2)
  const rated = { requests: [100], successes: [90] }
  log.append('CatalogChanged', {
    upserted: {
      provider_groups: [{ id: 1, name: null }],
      api_keys: [{ id: 7, group_id: 1, name: null }],
      keys: [{ token_hash: 'a', quota_limit: 100, name: null }],
    },
    ended: {},
  })
  const opened = log.append('BalancesOpened', {
    as_of: '2026-01-01T00:00:00.000000+00:00',
    origin: { system: 'old', note: null },
    api_keys: { ids: [7], ...rated },
  })
  const adjusted = log.append('TotalsAdjusted', {
    reason: 'by hand',
    keys: { hashes: ['a'], requests: [1], tokens: [2], quota_used: [3] },
  })
  const mixed = log.append(
    'ApiKeyStatsFlushed',
    {
      groups: [1, null],
      counts: [2, 2],
      ids: [7, 7, 777, 0],
      requests: [5, 1, 4, 2],
      failing: [2],
      failures: [1],
      named: [3],
      names: ['sk'],
    },
    { shard: 1, version: 3 },
  )
  const mixedKeys = log.append(
    'KeyStatsFlushed',
    {
      hashes: ['a', 'b', 'c'],
      requests: [1, 2, 3],
      tokens: [10, 20, 30],
      last_accessed_at: [1, 2, 3],
      quota_tracked: [true, null, null],
    },
    { shard: 1 },
  )
  const unknown = (requests: number) =>
    log.append(
      'ApiKeyStatsFlushed',
      { groups: [null], counts: [1], ids: [777], requests: [requests], successes: [requests] },
      { shard: 1 },
    )
  unknown(6)
  log.stepMs *= 20
  const later = unknown(8)
  log.append('CatalogChanged', {
    upserted: {
      api_keys: [{ id: 777, group_id: 1, name: null }],
      keys: [{ token_hash: 'b', quota_limit: 100, name: null }],
    },
    ended: {},
  })
  const time = '2026-01-31T12:00:00.000000+00:00'
  const adopted = log.append('UnknownKeysAdopted', {
    heads: [3, later.position],
    until: later.recordedAt,
    api_keys: {
      ids: [777, 777],
      groups: [1, 1],
      names: ['777', '777'],
      times: [time, '2026-01-31T13:00:00.000000+00:00'],
      requests: [10, 8],
      successes: [9, 8],
      flushes: [2, 1],
    },
    keys: {
      ...{ hashes: ['b'], times: [time], requests: [2], tokens: [20], quota_used: [20] },
      ...{ last_accessed_at: [2], flushes: [1] },
    },
  })
  const reset = log.append('QuotaReset', {
    ...{ at: adopted.recordedAt, through: '0/4,1/3', reason: 'new contract' },
    keys: { hashes: ['b'], requests: [0], tokens: [0], quota_used: [20] },
  })
  // Whatever follows, in any shard, was recorded after the time of the reset.
  log.stepMs++
  const reverse = (event: LineEvent, payload: object, version = 1) =>
    log.append(
      'EventReversed',
      {
        reversed: placeOf(event),
        type: event.type,
        at: event.recordedAt,
        reason: 'wrong',
        ...payload,
      },
      { version },
    )
  const ofMixed = reverse(
    mixed,
    {
      provider_groups: { ids: [1], requests: [10], successes: [9] },
      api_keys: { ids: [7, 777], requests: [6, 4], successes: [6, 3] },
      unknown: { api_keys: { names: ['ext:sk'], requests: [2], successes: [2] } },
    },
    2,
  )
  const ofKeys = reverse(
    mixedKeys,
    {
      keys: { hashes: ['b', 'a'], requests: [2, 1], tokens: [20, 10], quota_used: [0, 10] },
      unknown: { keys: { hashes: ['c'], requests: [3], tokens: [30] } },
    },
    2,
  )
  const ofOpened = reverse(opened, {
    at: '2026-01-01T00:00:00.000000+00:00',
    api_keys: { ids: [7], ...rated },
  })
  const ofAdjusted = reverse(adjusted, {
    keys: { hashes: ['a'], requests: [1], tokens: [2], quota_used: [3] },
  })
  return { log, reverse, mixed, mixedKeys, adopted, reset, ofMixed, ofKeys, ofOpened, ofAdjusted }
}
