import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { assignShards } from '../../src/cluster/assign-shards.ts'
import { formatCatchUpRequest, parseCatchUpRequest } from '../../src/cluster/catch-up-request.ts'

const ids = (most: number) => fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: most })
const shards = fc.integer({ min: 1, max: 64 })

const countOf = (owned: readonly string[], id: string) => owned.filter((one) => one === id).length

describe('shards are shared', () => {
  test('fairly: no instance tends two more than another', () => {
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

  test('in one way, whatever order the instances are listed in', () => {
    fc.assert(
      fc.property(shards, ids(9), (number, instances) => {
        const backwards = [...instances].reverse()
        expect(assignShards(number, backwards)).toEqual(assignShards(number, instances))
      }),
    )
  })

  test('so that most stay where they are when an instance ends', () => {
    let moved = 0
    let all = 0
    for (let round = 0; round < 200; round++) {
      const instances = Array.from({ length: 4 }, (_, i) => `instance ${round} ${i}`)
      const before = assignShards(16, instances)
      const after = assignShards(16, instances.slice(1))
      // Those of the one that ended have to move: four of sixteen.
      moved += before.filter((id, shard) => id !== instances[0] && id !== after[shard]).length
      all += 12
    }
    // With the shards dealt out in turn it would be three quarters.
    expect(moved / all).toBeLessThan(0.4)
  })
})

test('what is wanted is told as text, and any other text is none', () => {
  const wanted = { shard: 3, group: 'usage', position: 41 }
  expect(parseCatchUpRequest(formatCatchUpRequest(wanted))).toEqual(wanted)
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
