import { describe, expect, test } from 'bun:test'
import { hashPayload } from '../../../src/events/event.ts'
import { type LineEvent, toEventLine } from '../../../src/events/event-line.ts'
import { sha256 } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { formatProofFile, parseProofFile } from '../../../src/proofs/merkle/proof-file.ts'
import { openReceipt } from '../../../src/proofs/verifier/receipt.ts'
import { EVENT as event, makeReceipt } from './make-receipt.ts'

const key = makeSigningKey('stats.example.com/audit/log/0', sha256('seed'))
const receiptOf = (lineEvent: LineEvent) => makeReceipt(key, lineEvent)

/** Returns the reason why a receipt is refused; throws if it is accepted. */
function refusal(text: string, keys = [key]): string {
  const opened = openReceipt(text, keys)
  if (opened.kind !== 'refused') throw new Error('the receipt is accepted')
  return opened.reason
}

describe('a receipt', () => {
  test('is verified with the key alone', async () => {
    const opened = openReceipt(await receiptOf(event), [key])
    expect(opened).toMatchObject({ kind: 'receipt', event, head: { size: 5 } })
  })

  test('is refused with another key', async () => {
    const other = makeSigningKey(key.name, sha256('another seed'))
    const receipt = await receiptOf(event)
    expect({
      'of a stranger': refusal(receipt, [other]),
      'no key': refusal(receipt, []),
    }).toMatchSnapshot()
  })

  test('is refused if its event was changed', async () => {
    const file = parseProofFile(await receiptOf(event))!
    const changed = (change: Partial<LineEvent>) =>
      refusal(formatProofFile({ ...file, extra: toEventLine({ ...event, ...change }) }))
    expect({
      source: changed({ source: 'else' }),
      payload: changed({ payload: '{}' }),
      'payload and its hash': changed({ payload: '{}', payloadSha256: hashPayload('{}') }),
      position: changed({ position: 3 }),
      shard: refusal(await receiptOf({ ...event, shard: 1 })),
      'left out': refusal(formatProofFile({ ...file, extra: null })),
      'no event': refusal(formatProofFile({ ...file, extra: 'no line' })),
    }).toMatchSnapshot()
  })

  test('is refused if its proof was changed', async () => {
    const file = parseProofFile(await receiptOf(event))!
    expect({
      'a hash less': refusal(formatProofFile({ ...file, proof: file.proof.slice(1) })),
      'a hash more': refusal(formatProofFile({ ...file, proof: [...file.proof, sha256('x')] })),
      'the head alone': refusal(file.head),
      nothing: refusal(''),
    }).toMatchSnapshot()
  })
})
