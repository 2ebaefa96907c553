import { EMPTY_ROOT, HASH_BYTES, type Hash, hashNode } from '../../src/proofs/merkle/hash.ts'
import type { ReadTiles } from '../../src/proofs/merkle/prove.ts'

/** MTH of RFC 6962, section 2.1, implemented literally. */
export function rootOf(hashes: readonly Hash[]): Hash {
  if (hashes.length === 0) return EMPTY_ROOT
  if (hashes.length === 1) return hashes[0]!
  let split = 1
  while (split * 2 < hashes.length) split *= 2
  return hashNode(rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)))
}

/** The tiles of a tree, computed from its leaf hashes as the specification defines them. */
export function tilesOf(leaves: readonly Hash[]): ReadTiles {
  const levels: Hash[][] = [[...leaves]]
  for (let level = levels[0]!; level.length >= 256; ) {
    level = Array.from({ length: Math.floor(level.length / 256) }, (_, i) =>
      rootOf(level.slice(i * 256, (i + 1) * 256)),
    )
    levels.push(level)
  }
  return async (tiles) =>
    tiles.map(({ level, number, width }) => {
      const hashes = (levels[level] ?? []).slice(number * 256, number * 256 + width)
      if (hashes.length < width) throw new Error(`there is no tile ${level}/${number}.p/${width}`)
      return Buffer.concat(hashes, width * HASH_BYTES)
    })
}
