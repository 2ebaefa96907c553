import { describe, expect, test } from 'bun:test'
import { formatVerifierKey, makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { signTreeHead } from '../../../src/proofs/merkle/tree-head.ts'
import {
  type AuditedOptions,
  auditService,
  fillService,
  findFlush,
  findKinds,
  readHeads,
  untilSigned,
  useEdits,
  useFilledService,
} from './audited.ts'

// Tree heads and receipts that an auditor has stored, checked against a real service.

const service = useFilledService()
const edit = useEdits(service)

const found = (options: AuditedOptions = {}) => findKinds(service, options)

describe('a stored head', () => {
  test('with another root is reported as a fork', async () => {
    const kept = await readHeads(service)
    const { shard } = await findFlush(service)
    const forged = new Map(kept)
    const [origin, size] = kept.get(shard)!.split('\n')
    const key = makeSigningKey(origin!)
    const root = Buffer.alloc(32, 1)
    const head = signTreeHead({ origin: origin!, size: Number(size), root }, [key])
    forged.set(shard, head.note)
    const keys = [...(await readKeyTexts()), formatVerifierKey(key)]
    expect(await found({ kept: forged, keys })).toMatchObject({ fork: `shard ${shard}` })
    expect(await found({ kept: forged, keys, headsOnly: true })).toEqual({ fork: `shard ${shard}` })
  })

  test('of a larger tree is reported as rolled back', async () => {
    const { shard } = await findFlush(service)
    const kept = await readHeads(service)
    const [origin, size] = kept.get(shard)!.split('\n')
    const key = makeSigningKey(origin!)
    const head = { origin: origin!, size: Number(size) + 10, root: Buffer.alloc(32, 1) }
    kept.set(shard, signTreeHead(head, [key]).note)
    const keys = [...(await readKeyTexts()), formatVerifierKey(key)]
    expect(await found({ kept, keys, headsOnly: true, growMs: 100 })).toEqual({
      rolled_back: `shard ${shard}`,
    })
  })
})

test('heads that no trusted key has signed are reported', async () => {
  const other = makeSigningKey('stats.example.com/audit/log/0')
  const kinds = await found({ keys: [formatVerifierKey(other)], headsOnly: true })
  expect(kinds.signature).toBe('shard 0')
})

async function readKeyTexts(): Promise<string[]> {
  return (await (await service.fetch('auditor', '/audit/log/keys')).text()).trim().split('\n')
}

describe('a receipt', () => {
  async function receiptOf(): Promise<{ at: { shard: number; position: number }; text: string }> {
    const at = await findFlush(service)
    const response = await service.post('/internal/receipts', {
      position: `${at.shard}/${at.position}`,
    })
    return { at, text: await response.text() }
  }

  test('matches the log after it has grown', async () => {
    const { text } = await receiptOf()
    await fillService(service)
    await untilSigned(service)
    const { report, findings } = await auditService(service, { receipts: new Map([['r', text]]) })
    expect(findings).toEqual([])
    expect(report.receipts).toBe(1)
  })

  test('whose flush was changed is reported', async () => {
    const { at, text } = await receiptOf()
    await edit(
      ['events'],
      (sql) => sql`update events set source = 'else'
        where shard = ${at.shard} and position = ${at.position}`,
    )
    const kinds = await found({ receipts: new Map([['r', text]]) })
    expect(kinds.receipt).toBe(`${at.shard}/${at.position}`)
  })

  test('that was itself changed is reported', async () => {
    const { text } = await receiptOf()
    for (const changed of [text.replace('index ', 'index 1'), text.slice(1), `${text}x`]) {
      expect((await found({ receipts: new Map([['r', changed]]) })).receipt).toBe('r')
    }
  })
})
