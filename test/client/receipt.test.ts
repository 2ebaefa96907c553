import { describe, expect, test } from 'bun:test'
import { openReceipt } from '../../src/client/receipt.ts'
import { hashPayload } from '../../src/events/event.ts'
import { type LineEvent, toEventLine } from '../../src/events/event-line.ts'
import { toLeaf } from '../../src/events/leaf.ts'
import { hashLeaf, sha256 } from '../../src/merkle/hash.ts'
import { makeSigningKey } from '../../src/merkle/key.ts'
import { formatProofFile, parseProofFile } from '../../src/merkle/proof-file.ts'
import { proveInclusion } from '../../src/merkle/prove.ts'
import { signTreeHead } from '../../src/merkle/tree-head.ts'
import { rootOf, tilesOf } from '../support/tree.ts'

const key = makeSigningKey('stats.example.com/audit/log/0', sha256('seed'))
const payload = '{"groups":[1],"counts":[1],"ids":[7],"requests":[10],"failing":[],"failures":[]}'
const event: LineEvent = {
  ...{ shard: 0, position: 2, type: 'ApiKeyStatsFlushed', version: 2, source: 'dp' },
  recordedAt: '2026-01-31T12:00:00.123456+00:00',
  idempotencyKey: null,
  payload,
  payloadSha256: hashPayload(payload),
}

/** A receipt of an event in a tree of five, as the service makes it. */
async function receiptOf(of: LineEvent, at = of.position, signer = key): Promise<string> {
  const leaves = ['a', 'b', 'c', 'd', 'e'].map(hashLeaf)
  leaves[at] = hashLeaf(toLeaf(of))
  const head = signTreeHead({ origin: signer.name, size: 5, root: rootOf(leaves) }, [signer])
  return formatProofFile({
    extra: toEventLine(of),
    index: at,
    proof: await proveInclusion(at, 5, tilesOf(leaves)),
    head: head.note,
  })
}

const refusal = (text: string, keys = [key]) => {
  const opened = openReceipt(text, keys)
  return opened.kind === 'refused' ? opened.reason : 'nothing'
}

describe('a receipt', () => {
  test('is opened with nothing but the key', async () => {
    const opened = openReceipt(await receiptOf(event), [key])
    expect(opened).toMatchObject({ kind: 'receipt', event, head: { size: 5 } })
  })

  test('is refused where the key is another', async () => {
    const stranger = makeSigningKey(key.name, sha256('another seed'))
    expect(refusal(await receiptOf(event), [stranger])).toContain('no known key')
    expect(refusal(await receiptOf(event), [])).toContain('no known key')
  })

  test('is refused where the event was changed', async () => {
    const file = parseProofFile(await receiptOf(event))!
    const changed = (change: Partial<LineEvent>) =>
      formatProofFile({ ...file, extra: toEventLine({ ...event, ...change }) })
    expect(refusal(changed({ source: 'else' }))).toContain('not in the tree')
    expect(refusal(changed({ payload: '{}' }))).toContain('payload')
    expect(refusal(changed({ payload: '{}', payloadSha256: hashPayload('{}') }))).toContain(
      'not in the tree',
    )
    expect(refusal(changed({ position: 3 }))).toContain('stands elsewhere')
    expect(refusal(formatProofFile({ ...file, extra: null }))).toContain('no event')
    expect(refusal(formatProofFile({ ...file, extra: 'no line' }))).toContain('no event')
  })

  test('is refused where it is of another shard than its head', async () => {
    expect(refusal(await receiptOf({ ...event, shard: 1 }))).toContain('stands elsewhere')
  })

  test('is refused where the proof was changed', async () => {
    const file = parseProofFile(await receiptOf(event))!
    expect(refusal(formatProofFile({ ...file, proof: file.proof.slice(1) }))).toContain('not in')
    expect(refusal(formatProofFile({ ...file, proof: [...file.proof, sha256('x')] }))).toContain(
      'not in the tree',
    )
    expect(refusal(file.head)).toContain('not a .tlog-proof')
    expect(refusal('')).toContain('not a .tlog-proof')
  })
})
