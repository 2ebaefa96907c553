import { describe, expect, test } from 'bun:test'
import { openReceipt } from '../../src/client/receipt.ts'
import { hashPayload } from '../../src/events/event.ts'
import { type LineEvent, toEventLine } from '../../src/events/event-line.ts'
import { sha256 } from '../../src/merkle/hash.ts'
import { makeSigningKey } from '../../src/merkle/key.ts'
import { formatProofFile, parseProofFile } from '../../src/merkle/proof-file.ts'
import { EVENT as event, makeReceipt } from './make-receipt.ts'

const key = makeSigningKey('stats.example.com/audit/log/0', sha256('seed'))
const receiptOf = (of: LineEvent) => makeReceipt(key, of)

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
