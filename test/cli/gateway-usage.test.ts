import { expect, test } from 'bun:test'
import { KEYS, loadAt, PROVIDERS, random } from '../../src/cli/gateway.ts'
import { countApiKeys, countKeys } from '../../src/cli/gateway-usage.ts'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'

// What the demo posts follows the conventions of docs/guides/llm-gateways.md.

const QUIET = { requests: 600, load: 0.8, isOutage: false }
const names = (rows: readonly { name: string }[]) => rows.map(({ name }) => name).sort()

/** Sums a measure, or other number, of entries. */
const sum = <One>(entries: readonly One[], amountOf: (entry: One) => number | undefined) =>
  entries.reduce((total, entry) => total + (amountOf(entry) ?? 0), 0)

test('entries have all dimensions, and only measures that are declared', () => {
  const chance = random(1)
  const entries = [...countApiKeys(QUIET, chance), ...countKeys(QUIET, 1_700_000_000, chance)]
  const measures = new Set<string>()
  for (const entry of entries) {
    expect(Object.keys(entry.dimensions).sort()).toEqual(names(LLM_CONVENTIONS.dimensions))
    for (const name of Object.keys(entry.measures ?? {})) measures.add(name)
  }
  expect([...measures].sort()).toEqual(names(LLM_CONVENTIONS.measures))
})

test('flushes are accepted as they are', () => {
  const chance = random(2)
  for (const isOutage of [false, true]) {
    const keys = countApiKeys({ ...QUIET, isOutage }, chance)
    expect(parseFlush('ApiKeyStatsFlushed', JSON.stringify({ keys }), false)).not.toHaveProperty(
      'error',
    )
  }
  const keys = countKeys(QUIET, 1_700_000_000, chance)
  expect(parseFlush('KeyStatsFlushed', JSON.stringify({ keys }), false)).not.toHaveProperty('error')
})

test('requests succeed if their status is 2xx, and fail with 5xx in the outage', () => {
  const entries = countApiKeys({ ...QUIET, isOutage: true }, random(3))
  for (const { requests, success_requests, dimensions } of entries) {
    expect(success_requests).toBe(dimensions.status === '2xx' ? requests : 0)
  }
  const broken = entries.filter(({ dimensions }) => dimensions.status === '5xx')
  expect(new Set(broken.map(({ dimensions }) => dimensions.provider))).toEqual(new Set(['mistral']))
})

test('the tokens of a token key are those of its measures', () => {
  for (const { tokens, measures } of countKeys(QUIET, 1_700_000_000, random(4))) {
    const kinds = Object.entries(measures).filter(([name]) => name.endsWith('_tokens'))
    expect(sum(kinds, ([, amount]) => amount)).toBe(tokens)
  }
})

test('shares add up, and the load has a night and a peak', () => {
  expect(sum(PROVIDERS, ({ share }) => share)).toBeCloseTo(1)
  for (const { models } of PROVIDERS) expect(sum(models, ({ share }) => share)).toBeCloseTo(1)
  const loads = Array.from({ length: 24 * 12 }, (_, i) => loadAt(i / 12))
  expect(Math.min(...loads)).toBeGreaterThan(0)
  expect(Math.max(...loads)).toBeLessThan(1)
  expect(Math.max(...loads) / Math.min(...loads)).toBeGreaterThan(5)
  expect(KEYS.length).toBe(24)
})
