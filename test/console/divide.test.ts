import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findShown, REQUESTS, shownMeasure } from '../../src/console/page/usage/counts.ts'
import {
  assignColours,
  COLOURS,
  type DividedItem,
  keepLargest,
  toLayers,
  toParts,
} from '../../src/console/page/usage/divide.ts'

// How usage is divided for a chart and a table.

const [ALL] = REQUESTS as [(typeof REQUESTS)[number]]
const HUGE = 9_007_199_254_740_993n

const item = (
  hour: number,
  model: string | null,
  total_requests: number | bigint,
): DividedItem => ({
  ...{ from: `2026-01-31T0${hour}:00:00+00:00`, dimensions: { model }, total_requests },
  measures: { cost: total_requests },
})
const STARTS = [0, 1, 2].map((hour) => Date.UTC(2026, 0, 31, hour))

describe('the parts of usage', () => {
  test('are exact, however large they are', () => {
    const parts = toParts([item(0, 'a', HUGE), item(1, 'a', 1), item(1, 'b', 2)], 'model')
    expect(parts.map(({ value, counts }) => [value, counts.total_requests])).toEqual([
      ['a', HUGE + 1n],
      ['b', 2],
    ])
    expect(parts[0]!.counts.measures).toEqual({ cost: HUGE + 1n })
  })

  test('are the largest, then the rest, then what has no value', () => {
    const items = [
      ...[item(0, null, 100), item(0, 'other', 50), item(0, 'a', 1)],
      ...[item(0, 'b', 3), item(0, 'c', 3), item(0, 'd', HUGE)],
    ]
    const kept = (most: number) =>
      keepLargest(toParts(items, 'model'), ALL, most).map(({ value, counts }) => [
        ...[value, counts.total_requests],
      ])
    expect(kept(2)).toEqual([
      ['d', HUGE],
      ['b', 3],
      ['other', 54],
      [null, 100],
    ])
    expect(kept(9).map(([value]) => value)).toEqual(['d', 'b', 'c', 'a', 'other', null])
    const one = keepLargest(toParts([item(0, 'a', 1)], 'model'), ALL, 1)
    expect(one.map(({ value }) => value)).toEqual(['a'])
  })

  test('add up to the whole in each bucket of a chart', () => {
    const items = [item(0, 'a', 5), item(0, 'b', 1), item(2, 'b', 2), item(2, null, 3)]
    const half = { ...item(2, 'c', 1), from: '2026-01-31T01:30:00+00:00' }
    const layers = toLayers([...items, half], STARTS, 'model', ALL, 1)
    expect(layers).toEqual([
      { value: 'a', values: [5, 0, 0], total: 5 },
      { value: 'other', values: [1, 1, 2], total: 4 },
      { value: null, values: [0, 0, 3], total: 3 },
    ])
  })

  test('that counted nothing of what is shown have no layer', () => {
    const layers = toLayers([item(0, 'a', 5)], STARTS, 'model', shownMeasure('tokens', null), 8)
    expect(layers).toEqual([])
  })
})

describe('what is shown', () => {
  const counts = [...REQUESTS, shownMeasure('total_requests', 'USD')]
  test('is named by the URL; a measure and a count of one name differ', () => {
    expect(findShown(counts, 'total_requests')).toBe(ALL)
    expect(findShown(counts, 'measures.total_requests')).toBe(counts[3]!)
    expect(findShown(counts, 'nothing')).toBe(ALL)
    expect(findShown(counts, 'measures.unknown').read({ measures: { unknown: 7 } })).toBe(7)
  })
})

describe('colours', () => {
  const names = 'abcdefgh'.split('')
  test('are different, and stay with a value while others come and go', () => {
    const before = assignColours(new Map(), names)
    expect(new Set(before.values()).size).toBe(COLOURS)
    const after = assignColours(before, ['h', 'x', ...names.slice(1, 7)])
    expect(new Set(after.values()).size).toBe(COLOURS)
    expect(after.get('h')).toBe(7)
    expect(after.get('x')).toBe(before.get('a'))
  })

  test('differ from the ground in light and dark as WCAG 2.2 demands of graphics', () => {
    const style = readFileSync(
      join(import.meta.dir, '../../src/console/page/style/base.css'),
      'utf8',
    )
    const colours = (name: string) =>
      [...style.matchAll(new RegExp(`--${name}: light-dark\\((#\\w{6}), (#\\w{6})\\)`, 'g'))].map(
        ([, light, dark]) => [light!, dark!] as const,
      )
    const [card] = colours('card')
    const series = colours('series-\\w+')
    expect(series).toHaveLength(COLOURS + 2)
    for (const scheme of [0, 1] as const) {
      const seen = series.map((one) => one[scheme])
      expect(new Set(seen).size).toBe(series.length)
      expect(seen.filter((colour) => contrast(colour, card![scheme]) < 2.8)).toEqual([])
    }
  })
})

/** The contrast of two colours (WCAG 2.2): 1 to 21. */
function contrast(a: string, b: string): number {
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
  return (lighter + 0.05) / (darker + 0.05)
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
