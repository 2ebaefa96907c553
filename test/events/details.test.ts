import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { isDimensionValue } from '../../src/events/details.ts'
import { decodeEvent, postingsOf, toRows, versionOf } from '../../src/events/event.ts'
import {
  type AttributedFlush,
  attributeFlush,
  encodeFlush,
  holdsEntries,
  type PostedFlush,
  resolveFlush,
} from '../../src/events/flush.ts'
import { cutPostings, type Postings } from '../../src/events/postings.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

const runs = runsOf(300)
const NAMES = ['cost_micros', 'input_tokens', 'output_tokens']

/** A catalog: groups of keys 1 to 4, dimensions model and status, and the measures in NAMES. */
const catalog = {
  groupOf: (id: number) => (id > 4 ? null : id % 3),
  externalIdOf: () => null,
  apiKeyIdOf: (name: string) => (name === 'ext-1' ? 1 : null),
  quotaTrackedOf: (hash: string) => (hash === 'x' ? null : hash === 'a'),
  hasDimension: (name: string) => name === 'model' || name === 'status',
  measureNumberOf: (name: string) => (NAMES.includes(name) ? NAMES.indexOf(name) : null),
}

const count = fc.oneof(fc.nat(1_000), fc.maxSafeNat())
const entry = fc.record({
  requests: count,
  dimensions: fc.option(
    fc.record(
      {
        model: fc.option(fc.constantFrom('gpt-5', 'o4', '"\\é', '🙂'.repeat(64))),
        status: fc.option(fc.constantFrom('200', '429', '__proto__')),
      },
      { requiredKeys: [] },
    ),
  ),
  measures: fc.option(
    fc.record(Object.fromEntries(NAMES.map((name) => [name, fc.option(count)])), {
      requiredKeys: [],
    }),
  ),
})
const body = fc.record({
  keys: fc.array(
    entry.chain((some) =>
      fc.record({
        api_key_id: fc.integer({ min: 1, max: 6 }),
        token_hash: fc.constantFrom('a', 'b', 'x'),
        tokens: fc.constant(some.requests),
        requests: fc.constant(some.requests),
        dimensions: fc.constant(some.dimensions),
        measures: fc.constant(some.measures),
      }),
    ),
    { maxLength: 12 },
  ),
  counted_at: fc.option(fc.integer({ min: 0, max: 4_000_000_000 })),
})
const type = fc.constantFrom('ApiKeyStatsFlushed' as const, 'KeyStatsFlushed' as const)
const RECORDED_AT = '2026-01-31T12:29:59.999999+00:00'

function read(kind: PostedFlush['type'], text: string): PostedFlush {
  const posted = parseFlush(kind, text, false)
  if ('error' in posted) throw new Error(posted.detail)
  return posted
}

function appendedAs(posted: PostedFlush): AttributedFlush {
  const resolved = resolveFlush(posted, catalog)
  if ('kind' in resolved) throw new Error(resolved.kind)
  return attributeFlush(resolved, catalog)
}

test('a flush with a time, dimensions or measures is read from its event as it was posted', () => {
  const property = fc.property(type, body, (kind, json) => {
    const posted = read(kind, JSON.stringify(json))
    const attributed = appendedAs(posted)
    const version = versionOf(attributed)
    const hasDetails = json.keys.some((one) => one.dimensions ?? one.measures)
    const [plain, timed, detailed] = kind === 'KeyStatsFlushed' ? [1, 2, 3] : [2, 4, 5]
    expect(version).toBe(hasDetails ? detailed! : json.counted_at === null ? plain! : timed!)
    const event = decodeEvent(kind, version, encodeFlush(attributed))
    expect(holdsEntries(event, posted, catalog)).toBe(true)
    const reversed = { ...json, keys: json.keys.toReversed() }
    expect(holdsEntries(event, read(kind, JSON.stringify(reversed)), catalog)).toBe(true)
    const rows = toRows(event)!
    const sum = (values: (number | null | undefined)[]) =>
      values.reduce((total: bigint, value) => total + BigInt(value ?? 0), 0n)
    for (const name of NAMES) {
      expect(sum(rows.map((row) => row.measures?.[name]))).toBe(
        sum(json.keys.map((one) => one.measures?.[name])),
      )
    }
    const models = (all: { dimensions?: { model?: string | null } | null }[]) =>
      all.flatMap((one) => one.dimensions?.model ?? []).sort()
    expect(models(rows)).toEqual(models(json.keys))
  })
  fc.assert(property, parametersOf(runs))
})

test('the parts of postings have the same details as the whole', () => {
  const property = fc.property(type, body, fc.integer({ min: 1, max: 5 }), (kind, json, size) => {
    const event = appendedAs(read(kind, JSON.stringify(json)))
    const whole = postingsOf(event, RECORDED_AT)
    expect(totals([...cutPostings(whole, size)])).toEqual(totals(whole))
  })
  fc.assert(property, parametersOf(runs))
})

/** Sums postings by kind, account, combination and measure. */
function totals(all: readonly Postings[]) {
  const sums = new Map<string, bigint>()
  for (const { kind, accounts, sums: columns, start, end, details } of all) {
    for (let i = start; i < end; i++) {
      const account = typeof accounts === 'object' ? accounts[i] : accounts
      const combination = details?.combinations[details.combination[i]!] ?? ''
      const values = [...columns, ...(details?.measures.map(({ values }) => values) ?? [])]
      for (const [j, column] of values.entries()) {
        const key = `${kind} ${account} ${combination} ${j}`
        sums.set(key, (sums.get(key) ?? 0n) + BigInt(column[i]!))
      }
    }
  }
  return sums
}

const flushOf = (dimensions: object, measures: object = {}, counted_at: number | null = null) =>
  JSON.stringify({ keys: [{ api_key_id: 1, requests: 1, dimensions, measures }], counted_at })

test('a flush with other values, measures or another time is another flush', () => {
  const text = flushOf({ model: 'gpt-5' }, { input_tokens: 3 }, 1_700_000_000)
  const attributed = appendedAs(read('ApiKeyStatsFlushed', text))
  const isSame = (other: string) =>
    holdsEntries(attributed, read('ApiKeyStatsFlushed', other), catalog)
  expect(isSame(text)).toBe(true)
  // 0 and null are as good as absent.
  expect(
    isSame(
      flushOf({ model: 'gpt-5', status: null }, { input_tokens: 3, cost_micros: 0 }, 1_700_000_000),
    ),
  ).toBe(true)
  expect(isSame(flushOf({ model: 'gpt-4' }, { input_tokens: 3 }, 1_700_000_000))).toBe(false)
  expect(isSame(flushOf({ model: 'gpt-5', status: '1' }, { input_tokens: 3 }, 1_700_000_000))).toBe(
    false,
  )
  expect(isSame(flushOf({}, { input_tokens: 3 }, 1_700_000_000))).toBe(false)
  expect(isSame(flushOf({ model: 'gpt-5' }, { input_tokens: 4 }, 1_700_000_000))).toBe(false)
  expect(isSame(flushOf({ model: 'gpt-5' }, { output_tokens: 3 }, 1_700_000_000))).toBe(false)
  expect(isSame(flushOf({ model: 'gpt-5' }, { input_tokens: 3 }, 1_700_000_001))).toBe(false)
  expect(isSame(flushOf({ model: 'gpt-5' }, { input_tokens: 3 }))).toBe(false)
})

test('a name that is not declared is refused, with the place of its first entry', () => {
  const keys = [{ api_key_id: 1 }, null, { api_key_id: 0, dimensions: { a: 'skipped' } }]
  const refusalOf = (entry: object) => {
    const text = JSON.stringify({ keys: [...keys, { api_key_id: 2, ...entry }] })
    return resolveFlush(read('ApiKeyStatsFlushed', text), catalog)
  }
  const undeclared = (name: string) => ({ kind: 'undeclared', place: 3, name }) as never
  expect(refusalOf({ dimensions: { nope: 'x' } })).toEqual(undeclared('dimensions.nope'))
  expect(refusalOf({ measures: { nope: 1 } })).toEqual(undeclared('measures.nope'))
  expect(refusalOf({ measures: JSON.parse('{"__proto__":1}') })).toEqual(
    undeclared('measures.__proto__'),
  )
})

test('values of a dimension are 1 to 64 characters and not `other`', () => {
  for (const value of ['a', 'x'.repeat(64), '🙂'.repeat(64), 'Other', ' ']) {
    expect(isDimensionValue(value)).toBe(true)
  }
  for (const value of [
    '',
    'x'.repeat(65),
    '🙂'.repeat(65),
    'other',
    'a\0',
    '\ud800',
    5,
    {},
    true,
  ]) {
    expect(isDimensionValue(value)).toBe(false)
  }
  for (const [dimensions, measures] of [
    [{ model: 5 }, {}],
    [[], {}],
    ['gpt', {}],
    [{}, { input_tokens: -1 }],
    [{}, { input_tokens: 1.5 }],
    [{}, { input_tokens: '1' }],
    [{}, { input_tokens: 2 ** 53 }],
    [{}, []],
  ] as [object, object][]) {
    const refusal = parseFlush('ApiKeyStatsFlushed', flushOf(dimensions, measures), false)
    expect(refusal).toMatchObject({ error: 'invalid stats payload' })
  }
})

test('a time in another quarter hour moves usage there, and one in the same does not', () => {
  const at = Date.parse('2026-01-31T12:15:00Z') / 1_000
  const countedAt = (counted_at: number) => {
    const event = appendedAs(read('ApiKeyStatsFlushed', flushOf({}, {}, counted_at)))
    return postingsOf(event, RECORDED_AT).map((some) => some.countedAt)
  }
  expect(countedAt(at)).toEqual([undefined, undefined])
  expect(countedAt(at + 899)).toEqual([undefined, undefined])
  expect(countedAt(at - 1)).toEqual(Array(2).fill('2026-01-31T12:14:59.000000+00:00'))
  expect(countedAt(at + 900)).toEqual(Array(2).fill('2026-01-31T12:30:00.000000+00:00'))
})
