import { consistencyPath, inclusionPath, startsAtRoot } from './audit-path.ts'
import { EMPTY_ROOT, equalHashes, type Hash, hashNode } from './hash.ts'

/**
 * Returns the root to which an inclusion proof leads from a leaf's hash (RFC 9162, section
 * 2.1.3.2), or null if it can't be a proof for that leaf in a tree of that size.
 */
export function rootOfInclusion(
  index: number,
  size: number,
  leafHash: Hash,
  proof: readonly Hash[],
): Hash | null {
  const path = inclusionPath(index, size, proof.length)
  if (path === null) return null
  return path.reduce(
    (node, side, i) => (side === 'left' ? hashNode(proof[i]!, node) : hashNode(node, proof[i]!)),
    leafHash,
  )
}

/** The root of a tree, and its size. */
export type SizedRoot = { size: number; root: Hash }

/**
 * True if the proof shows that the newer tree begins with the older one (RFC 9162, section
 * 2.1.4.2).
 */
export function isConsistent(older: SizedRoot, newer: SizedRoot, proof: readonly Hash[]): boolean {
  if (older.size > newer.size) return false
  if (older.size === 0) return proof.length === 0 && equalHashes(older.root, EMPTY_ROOT)
  if (older.size === newer.size) return proof.length === 0 && equalHashes(older.root, newer.root)
  const [first, ...rest] = startsAtRoot(older.size) ? [older.root, ...proof] : proof
  const path = first && consistencyPath(older.size, newer.size, rest.length)
  if (!path) return false
  let oldRoot = first
  let newRoot = first
  for (const [i, side] of path.entries()) {
    const hash = rest[i]!
    if (side === 'left') {
      oldRoot = hashNode(hash, oldRoot)
      newRoot = hashNode(hash, newRoot)
    } else {
      newRoot = hashNode(newRoot, hash)
    }
  }
  return equalHashes(oldRoot, older.root) && equalHashes(newRoot, newer.root)
}
