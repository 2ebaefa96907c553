import { consistencyPath, startsAtRoot } from '../../../proofs/merkle/audit-path.ts'
import { equal, type Hash, hashNode, sha256 } from './hash.ts'

type Tree = { size: number; root: Hash }

/** True if the proof shows that the newer tree begins with the older one (RFC 9162, 2.1.4.2). */
export async function isConsistent(older: Tree, newer: Tree, proof: Hash[]): Promise<boolean> {
  if (older.size > newer.size) return false
  if (older.size === 0)
    return proof.length === 0 && equal(older.root, await sha256(new Uint8Array()))
  if (older.size === newer.size) return proof.length === 0 && equal(older.root, newer.root)
  const [first, ...rest] = startsAtRoot(older.size) ? [older.root, ...proof] : proof
  const path = first && consistencyPath(older.size, newer.size, rest.length)
  if (!path) return false
  let [oldRoot, newRoot] = [first, first]
  for (const [i, side] of path.entries()) {
    const hash = rest[i]!
    if (side === 'left') oldRoot = await hashNode(hash, oldRoot)
    newRoot = await (side === 'left' ? hashNode(hash, newRoot) : hashNode(newRoot, hash))
  }
  return equal(oldRoot, older.root) && equal(newRoot, newer.root)
}
