import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { decodeEvent, postingsOf, tryDecodeEvent } from '../../src/events/event.ts'
import { pack } from '../../src/events/packed.ts'
import { unknownOf } from '../../src/events/unknown.ts'
import { ShardFold } from '../../src/proofs/verifier/fold.ts'
import { PartTotals } from '../../src/read-model/projections/detail-totals.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

// What the owner of a database may put into a log to stop an auditor: lengths, counts, numbers and
// indexes far beyond the size of the payload. They are refused, or they cost what they weigh.

const AT = '2026-01-31T12:00:00.000000+00:00'
const runs = runsOf(200)

const details = {
  ...{ dimensions: ['model'], combinations: [['a'], [null]], combination: pack([0, 1]) },
  measures: { cost: [0, ...pack([5, 6])] },
}
const apiKeyFlush = {
  ...{
    groups: [1],
    counts: [2],
    ids: pack([7, 8]),
    requests: pack([1, 2]),
    failures: pack([0, 1]),
  },
  ...details,
}
const keyFlush = {
  ...{ hashes: ['a', 'b'], requests: pack([1, 2]), tokens: pack([3, 4]) },
  ...{ last_accessed_at: pack([0, 0]), quota_tracked: pack([1, 2]), ...details },
}
const columns = {
  dimensions: { model: [...pack([0, 1]), ['a', 'b']] },
  measures: { cost: [0, ...pack([5, 6])] },
}
const reversal = {
  ...{ reversed: '0/1', type: 'ApiKeyStatsFlushed', at: AT, reason: 'twice' },
  combinations: ['{"model":"a"}'],
  api_keys: {
    ...{ ids: [7], requests: [1], successes: [1], combination: [0], measures: { 0: [5] } },
  },
}
const catalog = { upserted: { measures: [{ name: 'cost', number: 0 }] }, ended: {} }

const VALID = [
  ['ApiKeyStatsFlushed', 4, apiKeyFlush],
  ['ApiKeyStatsFlushed', 5, { ...apiKeyFlush, ...columns }],
  ['KeyStatsFlushed', 2, keyFlush],
  ['KeyStatsFlushed', 3, { ...keyFlush, ...columns }],
  ['EventReversed', 3, reversal],
  ['CatalogChanged', 3, catalog],
] as const

const decode = (type: string, version: number, payload: object) =>
  tryDecodeEvent({ type, version, payload: JSON.stringify(payload) })

test.each(VALID)('%s version %i can be read', (type, version, payload) => {
  expect(decode(type, version, payload)).not.toBeNull()
})

const manyNames = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`).sort()
const many = (count: number) =>
  Object.fromEntries(manyNames(count).map((name, i) => [name, [i, ...pack([5, 6])]]))

test.each([
  ...[256, 10_000, 2 ** 31, Number.MAX_SAFE_INTEGER].flatMap((number) => [
    ['ApiKeyStatsFlushed', 4, { ...apiKeyFlush, measures: { cost: [number, ...pack([5, 6])] } }],
    ['KeyStatsFlushed', 2, { ...keyFlush, measures: { cost: [number, ...pack([5, 6])] } }],
    [
      ...['KeyStatsFlushed', 3],
      { ...keyFlush, ...columns, measures: { cost: [number, ...pack([5, 6])] } },
    ],
    [
      ...['EventReversed', 3],
      { ...reversal, api_keys: { ...reversal.api_keys, measures: { [number]: [5] } } },
    ],
    ['CatalogChanged', 3, { upserted: { measures: [{ name: 'cost', number }] }, ended: {} }],
  ]),
  ['ApiKeyStatsFlushed', 4, { ...apiKeyFlush, measures: many(33) }],
  ['KeyStatsFlushed', 2, { ...keyFlush, measures: many(33) }],
  ['KeyStatsFlushed', 3, { ...keyFlush, ...columns, measures: many(33) }],
  [
    ...['ApiKeyStatsFlushed', 5],
    { ...apiKeyFlush, ...columns, measures: { a: [0, ...pack([1, 1])], b: [0, ...pack([1, 1])] } },
  ],
  [
    ...['ApiKeyStatsFlushed', 5],
    {
      ...{ ...apiKeyFlush, ...columns },
      dimensions: Object.fromEntries(manyNames(9).map((name) => [name, [0, '', [null]]])),
    },
  ],
  // More values than entries, and entries beyond the last.
  ...[
    [0, 3, 'AAAA', 8, 0, ''],
    [0, 3, 'oA==', 1, 40, '//////8='],
    [0, 0, '', 2 ** 53 - 1, 0, ''],
  ].map((cost) => [
    ...['ApiKeyStatsFlushed', 5],
    { ...apiKeyFlush, ...columns, measures: { cost } },
  ]),
  [
    ...['ApiKeyStatsFlushed', 4],
    { ...apiKeyFlush, measures: { a: [0, ...pack([1, 1])], b: [0, ...pack([1, 1])] } },
  ],
  [
    ...['ApiKeyStatsFlushed', 4],
    { ...apiKeyFlush, dimensions: manyNames(9), combinations: [Array(9).fill(null)] },
  ],
  // Columns of zeros take no space.
  ...[100, 2 ** 24, Number.MAX_SAFE_INTEGER].map((count) => [
    ...['ApiKeyStatsFlushed', 4],
    {
      ...{ groups: [1], counts: [count], ids: [0, ''], requests: [0, ''], failures: [0, ''] },
      counted_at: 1,
    },
  ]),
  // A name without an entry would lengthen the column.
  [
    ...['ApiKeyStatsFlushed', 3],
    {
      ...{ groups: [null], counts: [1], ids: [0], requests: [1], failing: [], failures: [] },
      ...{ named: [2 ** 32 - 2], names: ['x'] },
    },
  ],
  ['EventReversed', 3, { ...reversal, combinations: ['x'.repeat(100_000)] }],
  ['EventReversed', 3, { ...reversal, combinations: [`{"model":"${'x'.repeat(65)}"}`] }],
] as [string, number, object][])('%s version %i is refused: %j', (type, version, payload) => {
  expect(decode(type, version, payload)).toBeNull()
})

test('combinations are looked up once for an event, however many groups it has', () => {
  const groups = 20_000
  const postings = {
    ...{ kind: 'provider_group' as const, sums: [[1], [1]], maxima: [], start: 0, end: 1 },
    details: {
      combinations: Array.from({ length: groups }, (_, i) => `{"model":"${i}"}`),
      ...{ combination: [0], measures: [] },
    },
  }
  const parts = new PartTotals()
  // This would take some minutes otherwise.
  for (let group = 1; group <= groups; group++) parts.add({ ...postings, accounts: group })
  expect(parts.size).toBe(groups)
})

const NUMBERS = [-1, 0.5, 255, 256, 2 ** 24, 2 ** 31, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER, 1e300]
const value = fc.oneof(
  fc.constantFrom(...NUMBERS, '', 'AAAA', null, [], {}),
  fc.nat(300).map((length) => 'A'.repeat(length)),
)

/** Replaces a value somewhere in a payload. */
function mutate(payload: unknown, path: readonly number[], by: unknown): unknown {
  const [at = 0, ...rest] = path
  if (typeof payload !== 'object' || payload === null) return by
  const keys = Object.keys(payload)
  const key = keys[at % (keys.length + 1)]
  // Past the last key: all of it.
  if (key === undefined) return by
  const changed = mutate((payload as never)[key], rest, by)
  return Array.isArray(payload)
    ? payload.with(Number(key), changed)
    : { ...payload, [key]: changed }
}

test('a payload with other numbers is refused, or is folded in the space that it takes', () => {
  const changes = fc.array(fc.tuple(fc.array(fc.nat(20), { minLength: 1, maxLength: 4 }), value), {
    ...{ minLength: 1, maxLength: 3 },
  })
  const property = fc.property(fc.constantFrom(...VALID), changes, (valid, some) => {
    const [type, version, payload] = valid
    const changed = some.reduce<unknown>((all, [path, by]) => mutate(all, path, by), payload)
    const text = JSON.stringify(changed)
    const event = tryDecodeEvent({ type, version, payload: text })
    if (event === null) return
    expect(decodeEvent(type, version, text)).toEqual(event)
    const most = text.length * 10 + 300
    for (const { start, end, details } of postingsOf(event, AT)) {
      expect(end - start).toBeLessThan(most)
      for (const { number } of details?.measures ?? []) expect(number).toBeLessThan(256)
    }
    for (const { names } of unknownOf(event, AT)) expect(names.length).toBeLessThan(most)
    const fold = new ShardFold()
    fold.add(event, 0, AT)
    for (const [, measures] of fold.rows('api_key_measures')) {
      expect((measures as unknown[]).length).toBeLessThanOrEqual(256)
    }
  })
  fc.assert(property, parametersOf(runs))
})
