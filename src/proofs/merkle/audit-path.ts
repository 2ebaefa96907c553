// The ways of proofs through a tree: numbers only, so that whoever hashes, and however, goes the
// same one.

/** On which side of the node a proof's hash stands. */
export type Side = 'left' | 'right'

/**
 * For each hash of an inclusion proof the side on which it joins the way from the leaf to the root
 * (RFC 9162, section 2.1.3.2); null where a tree of that size has no such leaf, or no proof of that
 * many hashes.
 */
export function inclusionPath(index: number, size: number, hashes: number): Side[] | null {
  if (!(index >= 0 && index < size)) return null
  return goUp(index, size - 1, hashes)
}

/**
 * The same for the hashes of a consistency proof after its first one, from there to the newer root
 * (RFC 9162, section 2.1.4.2): those on the left lead to the older root as well. For
 * 0 < older < newer.
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

/** True where the older root itself is the first hash of the way, and not in the proof. */
export const startsAtRoot = (older: number) => isPowerOfTwo(older)

/** `last` is the node above the last leaf, on the same level. */
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

// Not bit operations: those have 32 bits, and positions 53.
const isOdd = (n: number) => n % 2 === 1
const half = (n: number) => Math.floor(n / 2)

function isPowerOfTwo(n: number): boolean {
  let power = 1
  while (power < n) power *= 2
  return power === n
}
