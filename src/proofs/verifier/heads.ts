import type { VerifierKey } from '../merkle/key.ts'
import { proveConsistency, type ReadTiles } from '../merkle/prove.ts'
import { openTreeHead, type SignedTreeHead, type TreeHead } from '../merkle/tree-head.ts'
import { isConsistent } from '../merkle/verify-proof.ts'
import type { Finding } from './finding.ts'
import { NotServed, SourceError } from './sources/source.ts'

/** A head that can be relied on as far as its signature goes, or what is wrong with it. */
export type CheckedHead =
  | { kind: 'head'; head: SignedTreeHead }
  | { kind: 'finding'; finding: Finding }

/** Opens a shard's tree head with the keys that are known for it. */
export function checkHead(shard: number, note: string, keys: readonly VerifierKey[]): CheckedHead {
  const at = `shard ${shard}`
  const opened = openTreeHead(note, keys)
  if (opened.kind === 'refused') {
    const message = `its tree head can't be relied on: ${opened.reason}`
    return { kind: 'finding', finding: { kind: 'signature', at, message } }
  }
  const { kind: _, ...head } = opened
  if (head.origin.endsWith(`/audit/log/${shard}`)) return { kind: 'head', head }
  const message = `its tree head is that of ${head.origin}`
  return { kind: 'finding', finding: { kind: 'signature', at, message } }
}

/** Tiles of a log that publishes none. */
export const noTiles: ReadTiles = async (tiles) => {
  if (tiles.length === 0) return []
  throw new SourceError('An archive has no tiles: how it continues is seen from its events only')
}

/**
 * What is wrong between two heads of one shard, the newer of which was read later; null where the
 * newer tree begins with the older one, be it under another origin: a trusted key signed both. The
 * proof is made of published tiles, which it verifies.
 */
export async function compareHeads(
  shard: number,
  older: TreeHead,
  newer: SignedTreeHead,
  readTiles: ReadTiles,
): Promise<Finding | null> {
  const at = `shard ${shard}`
  const now = older.origin === newer.origin ? '' : ` as ${newer.origin}, once ${older.origin}`
  if (newer.size < older.size) {
    const message = `its tree${now} has ${newer.size} events, and had ${older.size}: some were lost`
    return { kind: 'rolled_back', at, message }
  }
  try {
    const proof = await proveConsistency(older.size, newer.size, readTiles)
    if (isConsistent(older, newer, proof)) return null
  } catch (error) {
    if (!(error instanceof NotServed)) throw error
    const message = `tiles that would prove it are not to be had (${error.message})`
    return { kind: 'published', at, message }
  }
  const message =
    `the tree${now} of ${newer.size} events does not begin with that of ${older.size}: ` +
    'two histories were signed'
  return { kind: 'fork', at, message }
}
