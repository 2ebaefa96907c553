import { EMPTY_ROOT, equalHashes, type Hash, hashNode } from './hash.ts'

/**
 * The root that an inclusion proof leads to from a leaf's hash (RFC 9162, section 2.1.3.2); null
 * where it can't be a proof for that leaf in a tree of that size.
 */
export function rootOfInclusion(
  index: number,
  size: number,
  leafHash: Hash,
  proof: readonly Hash[],
): Hash | null {
  if (!(index >= 0 && index < size)) return null
  // The way from the leaf to the root, and that of the last leaf.
  let node = index
  let last = size - 1
  let root = leafHash
  for (const hash of proof) {
    if (last === 0) return null
    if (isOdd(node) || node === last) {
      root = hashNode(hash, root)
      while (!isOdd(node) && node !== 0) {
        node /= 2
        last = half(last)
      }
    } else {
      root = hashNode(root, hash)
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 ? root : null
}

export type SizedRoot = { size: number; root: Hash }

/**
 * True where the proof shows that the newer tree begins with the older one (RFC 9162, section
 * 2.1.4.2).
 */
export function isConsistent(older: SizedRoot, newer: SizedRoot, proof: readonly Hash[]): boolean {
  if (older.size > newer.size) return false
  if (older.size === 0) return proof.length === 0 && equalHashes(older.root, EMPTY_ROOT)
  if (older.size === newer.size) return proof.length === 0 && equalHashes(older.root, newer.root)
  const path = isPowerOfTwo(older.size) ? [older.root, ...proof] : proof
  let node = older.size - 1
  let last = newer.size - 1
  while (isOdd(node)) {
    node = half(node)
    last = half(last)
  }
  const [first, ...rest] = path
  if (!first) return false
  let oldRoot = first
  let newRoot = first
  for (const hash of rest) {
    if (last === 0) return false
    if (isOdd(node) || node === last) {
      oldRoot = hashNode(hash, oldRoot)
      newRoot = hashNode(hash, newRoot)
      while (!isOdd(node) && node !== 0) {
        node /= 2
        last = half(last)
      }
    } else {
      newRoot = hashNode(newRoot, hash)
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 && equalHashes(oldRoot, older.root) && equalHashes(newRoot, newer.root)
}

// Not bit operations: those have 32 bits, and positions 53.
const isOdd = (n: number) => n % 2 === 1
const half = (n: number) => Math.floor(n / 2)

function isPowerOfTwo(n: number): boolean {
  let power = 1
  while (power < n) power *= 2
  return power === n
}
