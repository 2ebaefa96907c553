import { type Hash, hashNode } from './hash.ts'

/** The leaves from `from` to the one before `to`. */
export type Range = { from: number; to: number }

/** A complete subtree: the 2^height leaves from `number` × 2^height on. */
export type Subtree = { height: number; number: number }

/**
 * The complete subtrees that make up a range, from left to right. The range is one of those that a
 * tree of RFC 6962 has: it begins at a multiple of the largest of them.
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

/** The Merkle tree hash of a range, from those of `subtreesOf` it. At least one. */
export function joinSubtrees(hashes: readonly Hash[]): Hash {
  return hashes.reduceRight((right, left) => hashNode(left, right))
}

/** The largest power of two below `leaves`, which is where a tree of so many is split. */
function splitOf(leaves: number): number {
  let split = 1
  while (split * 2 < leaves) split *= 2
  return split
}

/**
 * The ranges whose hashes prove that a leaf is in a tree, from its sibling up to the root's child
 * (RFC 6962, section 2.1.1). 0 <= index < size.
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
 * The ranges whose hashes prove that a tree of `size` begins with one of `oldSize` (RFC 6962,
 * section 2.1.2). 0 <= oldSize <= size; none where nothing has to be proved.
 */
export function consistencyRanges(oldSize: number, size: number): Range[] {
  if (oldSize === 0 || oldSize === size) return []
  const ranges: Range[] = []
  let [from, to] = [0, size]
  // False as soon as the old tree's root is not the hash of what is left.
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
