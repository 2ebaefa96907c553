import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Sums } from '../../../src/read-model/projections/sums.ts'

// Ids in a page and past the last, counts about where a page and a number end.
const id = fc.oneof(fc.constantFrom(1, 1_023, 1_024, 2 ** 20 - 1, 2 ** 20, 2 ** 33), fc.nat(5_000))
const count = fc.oneof(
  fc.nat(20),
  fc.constantFrom(2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
)
const entry = fc
  .tuple(id, count, count)
  .map(([id, a, b]) => ({ id: id || 1, requests: Math.max(a, b), successes: Math.min(a, b) }))

test('sums of any ids and counts are exact and in order', () => {
  const property = fc.property(fc.array(entry), fc.boolean(), (entries, inRanges) => {
    const sums = new Sums()
    const naive = new Map<number, { requests: bigint; successes: bigint }>()
    for (const { id, requests, successes } of entries) {
      // A range of the same entry twice, or the entry twice.
      if (inRanges) sums.addRange(id, [9, requests, requests], [9, successes, successes], 1, 3)
      else for (let i = 0; i < 2; i++) sums.add(id, requests, successes)
      if (requests === 0) continue
      const sum = naive.get(id) ?? { requests: 0n, successes: 0n }
      sum.requests += 2n * BigInt(requests)
      sum.successes += 2n * BigInt(successes)
      naive.set(id, sum)
    }
    const readAll = () => [...sums.slices()].flat()
    const read = readAll().map(({ id, requests, successes }) => ({
      id,
      requests: BigInt(requests),
      successes: BigInt(successes),
    }))
    expect(read).toEqual([...naive].sort(([a], [b]) => a - b).map(([id, sum]) => ({ id, ...sum })))
    expect(readAll()).toEqual(readAll())
  })
  fc.assert(property, { numRuns: 500 })
})
