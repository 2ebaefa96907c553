import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Frontier } from '../../../src/proofs/merkle/frontier.ts'
import { EMPTY_ROOT, type Hash, hashNode, sha256 } from '../../../src/proofs/merkle/hash.ts'
import {
  proveConsistency,
  proveInclusion,
  readPeaks,
  readRoot,
} from '../../../src/proofs/merkle/prove.ts'
import { isConsistent, rootOfInclusion } from '../../../src/proofs/merkle/verify-proof.ts'
import { rootOf, tilesOf } from '../../support/tree.ts'
import { CONSISTENCY, INCLUSION, LEAVES, ROOTS } from './vectors.ts'

const hex = (hash: Hash) => Buffer.from(hash).toString('hex')
const fromHex = (text: string) => Buffer.from(text, 'hex')

const leaves = LEAVES.map((leaf) => sha256(Buffer.concat([Buffer.from([0]), fromHex(leaf)])))

/** Makes this number of leaf hashes from their indexes. */
const manyLeaves = (count: number) => Array.from({ length: count }, (_, i) => sha256(`leaf ${i}`))

describe('the vectors of RFC 6962', () => {
  test('the root of an empty tree is the hash of an empty text', () => {
    expect(hex(EMPTY_ROOT)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(new Frontier().root()).toEqual(EMPTY_ROOT)
  })

  test.each(ROOTS.map((root, i) => ({ size: i + 1, root })))(
    'a tree of $size has the root of the reference implementation',
    async (vector) => {
      const { size, root } = vector
      const read = tilesOf(leaves)
      expect(hex(await readRoot(size, read))).toBe(root)
      const frontier = new Frontier()
      for (const leaf of leaves.slice(0, size)) frontier.append(leaf)
      expect(hex(frontier.root())).toBe(root)
    },
  )

  test.each(INCLUSION)('leaf $index is in a tree of $size', async ({ index, size, proof }) => {
    const proved = await proveInclusion(index, size, tilesOf(leaves.slice(0, size)))
    expect(proved.map(hex)).toEqual(proof)
    const root = rootOfInclusion(index, size, leaves[index]!, proof.map(fromHex))
    expect(hex(root!)).toBe(ROOTS[size - 1]!)
  })

  test.each(CONSISTENCY)('a tree of $newer starts with one of $older', async (vector) => {
    const { older, newer, proof } = vector
    const proved = await proveConsistency(older, newer, tilesOf(leaves.slice(0, newer)))
    expect(proved.map(hex)).toEqual(proof)
    const sized = (size: number) => ({ size, root: fromHex(ROOTS[size - 1]!) })
    expect(isConsistent(sized(older), sized(newer), proof.map(fromHex))).toBe(true)
  })
})

const SIZES = [1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000]

test.each(SIZES)('root, peaks and proofs of %d leaves match the definition', async (size) => {
  const hashes = manyLeaves(size)
  const read = tilesOf(hashes)
  const root = rootOf(hashes)
  expect(await readRoot(size, read)).toEqual(root)
  const peaks = await readPeaks(size, read)
  expect(new Frontier(size, peaks).root()).toEqual(root)
  for (const index of new Set([0, 1, 254, 255, 256, size >> 1, size - 2, size - 1])) {
    if (index < 0 || index >= size) continue
    const proof = await proveInclusion(index, size, read)
    expect(rootOfInclusion(index, size, hashes[index]!, proof)).toEqual(root)
  }
  for (const older of SIZES.filter((other) => other <= size)) {
    const from = { size: older, root: rootOf(hashes.slice(0, older)) }
    const proof = await proveConsistency(older, size, read)
    expect(isConsistent(from, { size, root }, proof)).toBe(true)
  }
})

const trees = fc.integer({ min: 1, max: 700 }).chain((size) =>
  fc.record({
    size: fc.constant(size),
    index: fc.integer({ min: 0, max: size - 1 }),
    older: fc.integer({ min: 0, max: size }),
    other: fc.integer({ min: 0, max: 10 }),
  }),
)

test('a proof holds only for its leaf, position and tree, and only unchanged', async () => {
  const all = manyLeaves(701)
  await fc.assert(
    fc.asyncProperty(trees, async ({ size, index, older, other }) => {
      const hashes = all.slice(0, size)
      const read = tilesOf(hashes)
      const root = rootOf(hashes)
      const inclusion = await proveInclusion(index, size, read)
      const rootFor = (i: number, n: number, leaf: Hash, proof: Hash[]) =>
        Buffer.from(rootOfInclusion(i, n, leaf, proof) ?? []).equals(root)
      expect(rootFor(index, size, hashes[index]!, inclusion)).toBe(true)
      expect(rootFor(index, size, all[700]!, inclusion)).toBe(false)
      expect(rootFor(index, size, hashes[index]!, [...inclusion, all[other]!])).toBe(false)
      if (index + 1 < size) {
        expect(rootFor(index + 1, size, hashes[index]!, inclusion)).toBe(false)
      }
      expect(rootOfInclusion(size, size, hashes[index]!, inclusion)).toBeNull()
      if (inclusion.length > 0) {
        expect(rootFor(index, size, hashes[index]!, inclusion.slice(1))).toBe(false)
      }

      const from = { size: older, root: rootOf(hashes.slice(0, older)) }
      const to = { size, root }
      const consistency = await proveConsistency(older, size, read)
      expect(isConsistent(from, to, consistency)).toBe(true)
      expect(isConsistent(from, to, [...consistency, all[other]!])).toBe(false)
      const forged = { ...from, root: hashNode(from.root, from.root) }
      expect(isConsistent(forged, to, consistency)).toBe(false)
      expect(isConsistent(from, { ...to, root: all[700]! }, consistency)).toBe(
        // Every tree is consistent with an empty one.
        older === 0,
      )
      if (older < size) expect(isConsistent(to, from, consistency)).toBe(false)
    }),
    { numRuns: 200 },
  )
})

test('a tree that is read and grown has the same root as one that was never stored', async () => {
  const hashes = manyLeaves(1_000)
  for (const size of [0, 1, 255, 256, 300, 999]) {
    const frontier = new Frontier(size, await readPeaks(size, tilesOf(hashes)))
    const before = frontier.copy()
    for (const leaf of hashes.slice(size)) frontier.append(leaf)
    expect(frontier.size).toBe(1_000)
    expect(frontier.root()).toEqual(rootOf(hashes))
    expect(before.size).toBe(size)
  }
})
