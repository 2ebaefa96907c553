import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { createTotals } from '../../../src/read-model/projections/create-totals.ts'

// Ids within and beyond the paged range, and counts around the limits of 32 and 53 bits.
const id = fc.oneof(fc.constantFrom(1, 1_023, 1_024, 2 ** 20 - 1, 2 ** 20, 2 ** 33), fc.nat(5_000))
const count = fc.oneof(
  fc.nat(20),
  fc.constantFrom(2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
)
const entry = fc
  .tuple(id, count, count)
  .map(([id, a, b]) => ({ id: id || 1, requests: Math.max(a, b), successes: Math.min(a, b) }))

const byAccount = (a: { account: unknown }, b: { account: unknown }) =>
  Number(a.account) - Number(b.account)

test('sums of any ids and counts are exact and in order', () => {
  const property = fc.property(fc.array(entry), fc.boolean(), (entries, toOne) => {
    const totals = createTotals('api_key')
    const naive = new Map<number, { requests: bigint; successes: bigint }>()
    for (const { id, requests, successes } of entries) {
      // Twice: with one account for all rows, or one per row.
      totals.add({
        kind: 'api_key',
        accounts: toOne ? id : [0, id, id],
        sums: [
          [9, requests, requests],
          [9, successes, successes],
        ],
        ...{ maxima: [], start: 1, end: 3 },
      })
      if (requests === 0) continue
      const sum = naive.get(id) ?? { requests: 0n, successes: 0n }
      sum.requests += 2n * BigInt(requests)
      sum.successes += 2n * BigInt(successes)
      naive.set(id, sum)
    }
    const read = [...totals.slices()].flat().map(({ account, values }) => ({
      account,
      values: values.map(BigInt),
    }))
    const expected = [...naive].map(([account, { requests, successes }]) => ({
      account,
      values: [requests, successes],
    }))
    expect(read.sort(byAccount)).toEqual(expected.sort(byAccount))
  })
  fc.assert(property, { numRuns: 500 })
})
