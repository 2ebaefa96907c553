import { inclusionPath } from '../../../proofs/merkle/audit-path.ts'
import { formatCountOf } from '../format.ts'
import { equal, fromBase64, type Hash, hashLeaf, hashNode, sha256, toBytes, toHex } from './hash.ts'
import { findSigner, type Head, type Key, readHead } from './note.ts'

/** One step of a check: what was done, the result, and whether it is correct. */
export type Step = {
  title: string
  /** For users who want to repeat the step. */
  detail: string
  result: string
  isGood: boolean
}

/** A `.tlog-proof` file (C2SP tlog-proof) with an event's line in `extra`. */
type ProofFile = { line: string; index: number; hashes: Hash[]; head: Head }

/**
 * Checks in the browser that an event is in the signed log, and yields each step. Ends at the first
 * step that fails. It needs only the proof file and the keys.
 */
export async function* checkInclusion(
  text: string,
  keys: Key[],
  { shard, position }: { shard: number; position: number },
): AsyncGenerator<Step> {
  const file = readProofFile(text)
  const parts = file && splitLine(file.line)
  if (!file || !parts) {
    yield step('Read the proof', 'A C2SP .tlog-proof file', 'The file has another format.', false)
    return
  }
  const { head, index, hashes } = file
  yield step(
    'Read the proof',
    `A C2SP .tlog-proof file with the event, ${countHashes(hashes)} and a signed tree head`,
    `leaf ${index} of ${head.size}, ${head.origin}`,
    index === position && head.origin.endsWith(`/audit/log/${shard}`),
  )
  if (index !== position || !head.origin.endsWith(`/audit/log/${shard}`)) return
  const payloadHash = toHex(await sha256(toBytes(parts.payload)))
  const isPayload = payloadHash === parts.payloadSha256
  yield step(
    'Hash the payload',
    'SHA-256 of its bytes, as stored in the log',
    payloadHash,
    isPayload,
  )
  if (!isPayload) return

  let node = await hashLeaf(parts.leaf)
  yield step('Hash the leaf', `SHA-256 of a zero byte and ${parts.leaf}`, toHex(node), true)

  const path = inclusionPath(index, head.size, hashes.length)
  if (path === null) {
    yield step(
      'Climb the tree',
      countHashes(hashes),
      'The number of hashes does not fit the tree.',
      false,
    )
    return
  }
  for (const [i, side] of path.entries()) {
    const sibling = hashes[i]!
    node = await (side === 'left' ? hashNode(sibling, node) : hashNode(node, sibling))
    const order = side === 'left' ? 'the proof’s hash, this one' : 'this one, the proof’s hash'
    const detail = `SHA-256 of 1 and ${order}: ${toHex(sibling)}`
    yield step(`Climb, step ${i + 1} of ${path.length}`, detail, toHex(node), true)
  }
  const isRoot = equal(node, head.root)
  yield step('Compare with the root', `The signed root is ${toHex(head.root)}`, toHex(node), isRoot)
  if (!isRoot) return
  yield await checkSignature(head, keys)
}

/** Checks that a tree head is signed by one of the keys. */
export async function checkSignature(head: Head, keys: Key[]): Promise<Step> {
  const signer = await findSigner(head, keys)
  return step(
    'Verify the signature',
    `Ed25519, of the tree head of ${formatCountOf(head.size, 'event')} of ${head.origin}`,
    signer ? signer.text : 'No trusted key has signed it.',
    signer !== null,
  )
}

const countHashes = ({ length }: Hash[]) => formatCountOf(length, 'hash', 'hashes')

const step = (title: string, detail: string, result: string, isGood: boolean): Step => ({
  ...{ title, detail, result, isGood },
})

function readProofFile(text: string): ProofFile | null {
  const end = text.indexOf('\n\n')
  const [first, extra, index, ...lines] = text.slice(0, end).split('\n')
  if (first !== 'c2sp.org/tlog-proof@v1' || !extra?.startsWith('extra ')) return null
  const line = fromBase64(extra.slice(6))
  const number = /^index (0|[1-9]\d{0,15})$/.exec(index ?? '')?.[1]
  const hashes = lines.map(fromBase64)
  const head = readHead(text.slice(end + 2))
  if (!line || number === undefined || head === null) return null
  if (!hashes.every((hash): hash is Hash => hash?.length === 32)) return null
  return { line: new TextDecoder().decode(line), index: Number(number), hashes, head }
}

/** Splits an event's line into its leaf and its exact payload; null if that is impossible. */
function splitLine(line: string): { leaf: string; payload: string; payloadSha256: string } | null {
  const [member] = /,"payload(?:_text)?":/.exec(line) ?? []
  if (member === undefined || !line.endsWith('}')) return null
  const at = line.indexOf(member)
  const leaf = `${line.slice(0, at)}}`
  const rest = line.slice(at + member.length, -1)
  try {
    const { payload_sha256 } = JSON.parse(leaf) as { payload_sha256: string }
    const payload = member.includes('_text') ? (JSON.parse(rest) as string) : rest
    return { leaf, payload, payloadSha256: payload_sha256 }
  } catch {
    return null
  }
}
