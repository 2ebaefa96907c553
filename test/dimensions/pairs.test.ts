import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Pairs } from '../../src/dimensions/pairs.ts'

// Pairs are those of a Map, whatever their numbers are and however many there are.

const first = fc.oneof(
  fc.nat(60),
  fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER),
)
const second = fc.oneof(fc.nat(60), fc.constantFrom(2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1))
const pair = fc.tuple(first, second)

test('each pair has the last value that was set', () => {
  const property = fc.property(
    fc.array(fc.tuple(pair, fc.boolean()), { maxLength: 500 }),
    fc.array(pair),
    (entries, others) => {
      const pairs = new Pairs()
      const expected = new Map<string, boolean>()
      for (const [[a, b], value] of entries) {
        pairs.set(a, b, value)
        expected.set(`${a} ${b}`, value)
      }
      for (const [a, b] of [...entries.map(([one]) => one), ...others]) {
        const value = expected.get(`${a} ${b}`)
        expect(pairs.get(a, b)).toBe(value)
        const seconds = { numbers: [b], of: [0, 0] }
        expect(pairs.hasAll(a, seconds, 0, 2)).toBe(value === true)
        expect(pairs.hasAll([a, a], seconds, 1, 2)).toBe(value === true)
      }
      const all = [...entries.map(([one]) => one), ...others]
      const seconds = { numbers: all.map(([, b]) => b), of: [...all.keys()] }
      const firsts = all.map(([a]) => a)
      const isTrue = all.map(([a, b]) => expected.get(`${a} ${b}`) === true)
      expect(pairs.hasAll(firsts, seconds, 0, all.length)).toBe(!isTrue.includes(false))
      for (const [i, [a]] of all.entries()) {
        expect(pairs.hasAll(a, seconds, i, i + 1)).toBe(isTrue[i]!)
      }
    },
  )
  fc.assert(property, { numRuns: 300 })
})
