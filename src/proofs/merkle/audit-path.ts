// Paths of proofs through a tree, as numbers only: every verifier follows the same path, whatever
// hash implementation it uses.

/** The side of the node on which a proof's hash stands. */
export type Side = 'left' | 'right'

/**
 * Returns, for each hash of an inclusion proof, the side on which it joins the path from the leaf
 * to the root (RFC 9162, section 2.1.3.2). Returns null if a tree of that size has no such leaf, or
 * no proof of that many hashes.
 */
export function inclusionPath(index: number, size: number, hashes: number): Side[] | null {
  if (!(index >= 0 && index < size)) return null
  return goUp(index, size - 1, hashes)
}

/**
 * Returns the same for the hashes of a consistency proof after the first one, up to the newer root
 * (RFC 9162, section 2.1.4.2). The hashes on the left also lead to the older root. Requires 0 <
 * older < newer.
 */
export function consistencyPath(older: number, newer: number, hashes: number): Side[] | null {
  let node = older - 1
  let last = newer - 1
  while (isOdd(node)) {
    node = half(node)
    last = half(last)
  }
  return goUp(node, last, hashes)
}

/** True if the path starts at the older root, which the proof then omits. */
export const startsAtRoot = (older: number) => isPowerOfTwo(older)

/**
 * Climbs from a node to the root. `lastOfLevel` is the node above the last leaf, on the same level.
 */
function goUp(from: number, lastOfLevel: number, hashes: number): Side[] | null {
  let node = from
  let last = lastOfLevel
  const path: Side[] = []
  for (let i = 0; i < hashes; i++) {
    if (last === 0) return null
    if (isOdd(node) || node === last) {
      path.push('left')
      while (!isOdd(node) && node !== 0) {
        node /= 2
        last = half(last)
      }
    } else {
      path.push('right')
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 ? path : null
}

// Not bit operations: they have 32 bits, positions have 53.
const isOdd = (n: number) => n % 2 === 1
const half = (n: number) => Math.floor(n / 2)

function isPowerOfTwo(n: number): boolean {
  let power = 1
  while (power < n) power *= 2
  return power === n
}
