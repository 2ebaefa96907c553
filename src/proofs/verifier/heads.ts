import type { VerifierKey } from '../merkle/key.ts'
import { proveConsistency, type ReadTiles } from '../merkle/prove.ts'
import { openTreeHead, type SignedTreeHead, type TreeHead } from '../merkle/tree-head.ts'
import { isConsistent } from '../merkle/verify-proof.ts'
import type { Finding } from './finding.ts'
import { NotServed, SourceError } from './sources/source.ts'

/** A head whose signature is valid, or what is wrong with it. */
export type CheckedHead =
  | { kind: 'head'; head: SignedTreeHead }
  | { kind: 'finding'; finding: Finding }

/** Verifies the signature and shard of a tree head. */
export function checkHead(shard: number, note: string, keys: readonly VerifierKey[]): CheckedHead {
  const at = `shard ${shard}`
  const opened = openTreeHead(note, keys)
  if (opened.kind === 'refused') {
    const message = `the tree head can't be trusted: ${opened.reason}`
    return { kind: 'finding', finding: { kind: 'signature', at, message } }
  }
  const { kind: _, ...head } = opened
  if (head.origin.endsWith(`/audit/log/${shard}`)) return { kind: 'head', head }
  const message = `the tree head belongs to ${head.origin}`
  return { kind: 'finding', finding: { kind: 'signature', at, message } }
}

/** Reads tiles of a log that publishes none: throws SourceError if one is needed. */
export const noTiles: ReadTiles = async (tiles) => {
  if (tiles.length === 0) return []
  throw new SourceError(
    'An archive has no tiles to prove consistency: audit its events too, without --heads-only',
  )
}

/**
 * Returns what is wrong between two heads of one shard, of which `newer` was read later, or null if
 * the newer tree begins with the older one. The origins may differ, since a trusted key has signed
 * each. The proof is made of published tiles, which it verifies.
 */
export async function compareHeads(
  shard: number,
  older: TreeHead,
  newer: SignedTreeHead,
  readTiles: ReadTiles,
): Promise<Finding | null> {
  const at = `shard ${shard}`
  const now =
    older.origin === newer.origin ? '' : ` of ${newer.origin}, previously ${older.origin},`
  if (newer.size < older.size) {
    const message = `the tree${now} has ${newer.size} events but had ${older.size}: some were lost`
    return { kind: 'rolled_back', at, message }
  }
  try {
    const proof = await proveConsistency(older.size, newer.size, readTiles)
    if (isConsistent(older, newer, proof)) return null
  } catch (error) {
    if (!(error instanceof NotServed)) throw error
    const message = `tiles that would prove consistency are not available (${error.message})`
    return { kind: 'published', at, message }
  }
  const message =
    `the tree${now} with ${newer.size} events does not begin with the tree of ${older.size}: ` +
    'two histories were signed'
  return { kind: 'fork', at, message }
}
