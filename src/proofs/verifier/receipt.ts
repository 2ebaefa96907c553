import { hashPayload } from '../../events/event.ts'
import { type LineEvent, parseEventLine } from '../../events/event-line.ts'
import { hashLeaf } from '../../events/leaf.ts'
import { equalHashes, type Hash } from '../merkle/hash.ts'
import type { VerifierKey } from '../merkle/key.ts'
import { parseProofFile } from '../merkle/proof-file.ts'
import { openTreeHead, type SignedTreeHead } from '../merkle/tree-head.ts'
import { rootOfInclusion } from '../merkle/verify-proof.ts'

/** A receipt that is valid by itself: the event, and the head that covers it. */
export type Receipt = { event: LineEvent; leafHash: Hash; head: SignedTreeHead }

/** A valid receipt, or the reason why it is refused. */
export type OpenedReceipt = ({ kind: 'receipt' } & Receipt) | { kind: 'refused'; reason: string }

/**
 * Verifies a `.tlog-proof` file offline: the signature of its head, that its event is in that tree,
 * and that the payload matches the leaf.
 */
export function openReceipt(text: string, keys: readonly VerifierKey[]): OpenedReceipt {
  const file = parseProofFile(text)
  if (file === null) return refused('it is not a .tlog-proof file')
  const head = openTreeHead(file.head, keys)
  if (head.kind === 'refused') return refused(`invalid tree head: ${head.reason}`)
  const line = parseEventLine(file.extra ?? '')
  if (line.kind === 'malformed') return refused('it contains no event')
  const { event } = line
  if (event.position !== file.index || !head.origin.endsWith(`/audit/log/${event.shard}`)) {
    return refused('the event has another shard or position')
  }
  if (hashPayload(event.payload) !== event.payloadSha256) {
    return refused('the payload does not match the leaf')
  }
  const leafHash = hashLeaf(line.leaf)
  const root = rootOfInclusion(file.index, head.size, leafHash, file.proof)
  if (root === null || !equalHashes(root, head.root)) {
    return refused('the event is not in the signed tree')
  }
  const { kind: _, ...signed } = head
  return { kind: 'receipt', event, leafHash, head: signed }
}

const refused = (reason: string): OpenedReceipt => ({ kind: 'refused', reason })
