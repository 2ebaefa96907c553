import { type Hash, hashNode } from './hash.ts'

/** The leaves from `from` (inclusive) to `to` (exclusive). */
export type Range = { from: number; to: number }

/** A complete subtree: 2^height leaves, starting at leaf `number` × 2^height. */
export type Subtree = { height: number; number: number }

/**
 * Returns the complete subtrees that make up a range, left to right. The range must be one that
 * occurs in a tree of RFC 6962: it starts at a multiple of its largest subtree.
 */
export function subtreesOf({ from, to }: Range): Subtree[] {
  const subtrees: Subtree[] = []
  for (let start = from; start < to; ) {
    let height = 0
    let leaves = 1
    while (leaves * 2 <= to - start) {
      leaves *= 2
      height++
    }
    subtrees.push({ height, number: start / leaves })
    start += leaves
  }
  return subtrees
}

/** Returns the Merkle tree hash of a range from the hashes of its `subtreesOf`, at least one. */
export function joinSubtrees(hashes: readonly Hash[]): Hash {
  return hashes.reduceRight((right, left) => hashNode(left, right))
}

/** Returns where RFC 6962 splits a tree of `leaves`: at the largest power of two below. */
function splitOf(leaves: number): number {
  let split = 1
  while (split * 2 < leaves) split *= 2
  return split
}

/**
 * Returns the ranges whose hashes prove that a leaf is in a tree, from its sibling up to the root's
 * child (RFC 6962, section 2.1.1). Requires 0 <= index < size.
 */
export function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + splitOf(to - from)
    if (index < middle) {
      ranges.push({ from: middle, to })
      to = middle
    } else {
      ranges.push({ from, to: middle })
      from = middle
    }
  }
  return ranges.reverse()
}

/**
 * Returns the ranges whose hashes prove that a tree of `size` begins with one of `oldSize` (RFC
 * 6962, section 2.1.2). Requires 0 <= oldSize <= size. Empty if there is nothing to prove.
 */
export function consistencyRanges(oldSize: number, size: number): Range[] {
  if (oldSize === 0 || oldSize === size) return []
  const ranges: Range[] = []
  let [from, to] = [0, size]
  // True as long as the old tree's root is the hash of what is left.
  let isOldTree = true
  while (oldSize !== to) {
    const middle = from + splitOf(to - from)
    if (oldSize <= middle) {
      ranges.push({ from: middle, to })
      to = middle
    } else {
      ranges.push({ from, to: middle })
      from = middle
      isOldTree = false
    }
  }
  if (!isOldTree) ranges.push({ from, to })
  return ranges.reverse()
}
