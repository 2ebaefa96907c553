import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { ExactRows } from '../../src/platform/exact-rows.ts'

// Rows of exact sums equal those of a Map, whatever their numbers are and however many there are.

const number = fc.oneof(
  fc.nat(40),
  fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 33, Number.MAX_SAFE_INTEGER),
)
const amount = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER),
)
const addition = fc.record({ first: number, second: number, k: fc.nat(5), amount })

test('rows are found by both numbers, and their sums are exact', () => {
  const property = fc.property(fc.array(addition, { maxLength: 400 }), (additions) => {
    const rows = new ExactRows()
    const expected = new Map<string, bigint[]>()
    for (const { first, second, k, amount } of additions) {
      rows.widen(k + 1)
      const row = rows.rowOf(first, second)
      // The entry before the range and the one without a row do not count.
      rows.addColumn(k, [7, amount, 7], { rows: [row, -1], start: 1, end: 3 })
      const sums = expected.get(`${first} ${second}`) ?? []
      expected.set(`${first} ${second}`, sums)
      while (amount !== 0 && sums.length <= k) sums.push(0n)
      if (amount !== 0) sums[k]! += BigInt(amount)
    }
    expect(rows.count).toBe(expected.size)
    const read = [...rows.entries()].map(({ first, second, values }) => {
      return [`${first} ${second}`, values.map(BigInt)] as [string, bigint[]]
    })
    expect(read).toEqual([...expected])
  })
  fc.assert(property, { numRuns: 300 })
})
