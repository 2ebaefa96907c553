import { hashPayload } from '../../../src/events/event.ts'
import { type LineEvent, toEventLine } from '../../../src/events/event-line.ts'
import { hashLeaf, toLeaf } from '../../../src/events/leaf.ts'
import type { SigningKey } from '../../../src/proofs/merkle/key.ts'
import { formatProofFile } from '../../../src/proofs/merkle/proof-file.ts'
import { proveInclusion } from '../../../src/proofs/merkle/prove.ts'
import { signTreeHead } from '../../../src/proofs/merkle/tree-head.ts'
import { rootOf, tilesOf } from '../../support/tree.ts'

const payload = '{"groups":[1],"counts":[1],"ids":[7],"requests":[10],"failing":[],"failures":[]}'

/** A flush that is the third event of its shard. */
export const EVENT: LineEvent = {
  shard: 0,
  position: 2,
  type: 'ApiKeyStatsFlushed',
  version: 2,
  source: 'dp',
  recordedAt: '2026-01-31T12:00:00.123456+00:00',
  idempotencyKey: null,
  payload,
  payloadSha256: hashPayload(payload),
}

/** Makes the service's receipt for an event in a tree of five leaves. */
export async function makeReceipt(key: SigningKey, event: LineEvent = EVENT): Promise<string> {
  const leaves = ['a', 'b', 'c', 'd', 'e'].map(hashLeaf)
  leaves[event.position] = hashLeaf(toLeaf(event))
  const head = signTreeHead({ origin: key.name, size: 5, root: rootOf(leaves) }, [key])
  return formatProofFile({
    extra: toEventLine(event),
    index: event.position,
    proof: await proveInclusion(event.position, 5, tilesOf(leaves)),
    head: head.note,
  })
}
