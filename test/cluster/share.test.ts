import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { assignShards } from '../../src/cluster/assign-shards.ts'
import { formatCatchUpRequest, parseCatchUpRequest } from '../../src/cluster/catch-up-request.ts'

const ids = (maxLength: number) => fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength })
const shards = fc.integer({ min: 1, max: 64 })

const countOf = (owned: readonly string[], id: string) => owned.filter((one) => one === id).length

describe('assignShards', () => {
  test('gives no instance two more shards than another', () => {
    fc.assert(
      fc.property(shards, ids(9), (number, instances) => {
        const owned = assignShards(number, instances)
        expect(owned).toHaveLength(number)
        const counts = instances.map((id) => countOf(owned, id))
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(number)
      }),
    )
  })

  test('does not depend on the order of the instances', () => {
    fc.assert(
      fc.property(shards, ids(9), (number, instances) => {
        const reversed = [...instances].reverse()
        expect(assignShards(number, reversed)).toEqual(assignShards(number, instances))
      }),
    )
  })

  test('leaves most shards with their owners when an instance leaves', () => {
    let moved = 0
    let all = 0
    for (let round = 0; round < 200; round++) {
      const instances = Array.from({ length: 4 }, (_, i) => `instance ${round} ${i}`)
      const before = assignShards(16, instances)
      const after = assignShards(16, instances.slice(1))
      // Four of the sixteen have to move: those of the instance that left.
      moved += before.filter((id, shard) => id !== instances[0] && id !== after[shard]).length
      all += 12
    }
    // With round-robin assignment it would be three quarters.
    expect(moved / all).toBeLessThan(0.4)
  })
})

test('a catch-up request survives formatting and parsing, and any other text is rejected', () => {
  const request = { shard: 3, group: 'usage', position: 41 }
  expect(parseCatchUpRequest(formatCatchUpRequest(request))).toEqual(request)
  for (const text of [
    '',
    '3 usage',
    '3 usage -1',
    '3 usage 1e9',
    '3 usage 9999999999999999',
    'x',
  ]) {
    expect(parseCatchUpRequest(text)).toBeNull()
  }
})
