import { expect, test } from 'bun:test'
import type { Event } from '../../../src/events/event.ts'
import { ShardFold } from '../../../src/proofs/verifier/fold.ts'

// What the verifier makes of flushes that state when they were counted, by docs/reference/log-format.md.

const NOON = Date.parse('2026-01-31T12:00:00Z') / 1_000
const RECORDED_AT = '2026-01-31T12:07:00.123456+00:00'
const bucket = (time: string) => `2026-01-31T${time}:00.000000+00:00`

const flush = (requests: number, counted_at?: number): Event => ({
  type: 'ApiKeyStatsFlushed',
  data: {
    ...{ groups: [1], counts: [1], ids: [7], requests: [requests], successes: [requests] },
    ...(counted_at !== undefined && { counted_at }),
  },
})

const reversal = (requests: number, at: string): Event => ({
  type: 'EventReversed',
  data: {
    ...{ reversed: '0/1', type: 'ApiKeyStatsFlushed', at, reason: 'twice' },
    api_keys: { ids: [7], requests: [requests], successes: [requests] },
  },
})

const keyFlush = (requests: number, counted_at: number): Event => ({
  type: 'KeyStatsFlushed',
  data: {
    ...{ hashes: ['a'], requests: [requests], tokens: [0], last_accessed_at: [1_700_000_000] },
    ...{ quota_tracked: [true], counted_at },
  },
})

const foldOf = (...events: [position: number, event: Event][]) => {
  const fold = new ShardFold()
  for (const [position, event] of events) fold.add(event, position, RECORDED_AT)
  return fold
}

test('a flush of the quarter hour of its event is timely', () => {
  const fold = foldOf([0, flush(1)], [1, flush(10, NOON)], [2, flush(100, NOON + 899)])
  expect([...fold.rows('api_key_usage')]).toEqual([[7, bucket('12:00'), 111, 111]])
  expect([...fold.rows('api_key_backdated_usage')]).toEqual([])
})

test('others share a row for each block of 4,096 positions', () => {
  const fold = foldOf(
    ...[
      [0, flush(1, NOON - 1)] as [number, Event],
      [4_095, flush(10, NOON - 900)] as [number, Event],
      [4_096, flush(100, NOON - 1)] as [number, Event],
      [4_097, flush(1_000, NOON + 900)] as [number, Event],
    ],
  )
  expect([...fold.rows('api_key_usage')]).toEqual([])
  expect([...fold.rows('api_key_backdated_usage')]).toEqual([
    [7, bucket('11:45'), 4_095, 11, 11],
    [7, bucket('11:45'), 8_191, 100, 100],
    [7, bucket('12:15'), 8_191, 1_000, 1_000],
  ])
  expect([...fold.rows('provider_group_backdated_usage', { after: 4_095 })]).toEqual([
    [1, bucket('11:45'), 8_191, 100, 100],
    [1, bucket('12:15'), 8_191, 1_000, 1_000],
  ])
  fold.forgetBackdatedThrough(4_095)
  expect(fold.backdatedRows).toBe(4)
})

test('an act has a row of its own, and at the end of a block shares that of flushes', () => {
  const at = '2026-01-31T11:59:00.000000+00:00'
  const fold = foldOf([0, flush(5, NOON - 1)], [1, reversal(2, at)], [4_095, reversal(5, at)])
  expect([...fold.rows('api_key_backdated_usage')]).toEqual([
    [7, bucket('11:45'), 1, -2, -2],
    // It is there, though nothing is left.
    [7, bucket('11:45'), 4_095, 0, 0],
  ])
})

test('an access alone is no usage, wherever it was counted', () => {
  const fold = foldOf([0, keyFlush(0, NOON - 1)], [1, keyFlush(0, NOON)])
  expect([...fold.rows('key_usage'), ...fold.rows('key_backdated_usage')]).toEqual([])
  expect([...fold.rows('key_counters')]).toEqual([['a', 0, 0, 0, 1_700_000_000]])
})
