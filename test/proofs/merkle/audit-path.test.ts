import { expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  consistencyPath,
  inclusionPath,
  type Side,
  startsAtRoot,
} from '../../../src/proofs/merkle/audit-path.ts'

// Audit paths against the definitions of RFC 9162, up to the largest size that a number can have.

/** The largest power of two less than n. */
function splitOf(n: number): number {
  let power = 1
  while (power * 2 < n) power *= 2
  return power
}

/** PATH of section 2.1.3.1: the side of each of its hashes. */
function pathOf(m: number, n: number): Side[] {
  if (n === 1) return []
  const k = splitOf(n)
  return m < k ? [...pathOf(m, k), 'right'] : [...pathOf(m - k, n - k), 'left']
}

/** SUBPROOF of section 2.1.4.1, likewise; `isRoot` if it omits the older root at its start. */
function subproofOf(m: number, n: number, isRoot = true): { sides: Side[]; isRoot: boolean } {
  if (m === n) return { sides: [], isRoot }
  const k = splitOf(n)
  const under = m <= k ? subproofOf(m, k, isRoot) : subproofOf(m - k, n - k, false)
  return { ...under, sides: [...under.sides, m <= k ? 'right' : 'left'] }
}

function expectInclusion(index: number, size: number): void {
  const path = pathOf(index, size)
  expect(inclusionPath(index, size, path.length)).toEqual(path)
  expect(inclusionPath(index, size, path.length + 1)).toBeNull()
  if (path.length > 0) expect(inclusionPath(index, size, path.length - 1)).toBeNull()
}

function expectConsistency(older: number, newer: number): void {
  const { sides, isRoot } = subproofOf(older, newer)
  expect(startsAtRoot(older)).toBe(isRoot)
  expect(consistencyPath(older, newer, sides.length)).toEqual(sides)
  expect(consistencyPath(older, newer, sides.length + 1)).toBeNull()
  if (sides.length > 0) expect(consistencyPath(older, newer, sides.length - 1)).toBeNull()
}

test('an inclusion path is that of the RFC, and null for any other number of hashes', () => {
  for (let size = 1; size <= 70; size++) {
    for (let index = 0; index < size; index++) expectInclusion(index, size)
  }
})

test('a consistency path is that of the RFC, and null for any other number of hashes', () => {
  for (let newer = 2; newer <= 70; newer++) {
    for (let older = 1; older < newer; older++) expectConsistency(older, newer)
  }
})

const size = fc.oneof(
  fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER }),
  // Around powers of two, also beyond 32 bits.
  fc
    .record({ power: fc.integer({ min: 2, max: 52 }), off: fc.integer({ min: -2, max: 2 }) })
    .map(({ power, off }) => 2 ** power + off),
)

test('inclusion and consistency paths of large trees are those of the RFC', () => {
  const within = size.chain((size) =>
    fc.record({ size: fc.constant(size), index: fc.integer({ min: 0, max: size - 1 }) }),
  )
  fc.assert(
    fc.property(within, ({ size, index }) => {
      for (const leaf of [index, 0, size - 1]) expectInclusion(leaf, size)
      for (const older of [Math.max(index, 1), splitOf(size), size - 1]) {
        expectConsistency(older, size)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('a leaf that is not in the tree has no inclusion path', () => {
  for (const [index, size] of [
    [0, 0],
    [-1, 5],
    [5, 5],
    [6, 5],
    [Number.NaN, 5],
    [0, Number.NaN],
    [2 ** 53, 2 ** 53],
  ] as const) {
    for (let hashes = 0; hashes < 60; hashes++) {
      expect(inclusionPath(index, size, hashes)).toBeNull()
    }
  }
})
