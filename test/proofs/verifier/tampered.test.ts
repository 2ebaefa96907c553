import { beforeEach, describe, expect, test } from 'bun:test'
import type { AttestedTable } from '../../../src/events/digest.ts'
import { hashPayload } from '../../../src/events/event.ts'
import { toEventLine } from '../../../src/events/event-line.ts'
import { hashLeaf, toLeaf } from '../../../src/events/leaf.ts'
import type { Attestation } from '../../../src/events/statement.ts'
import { sha256 } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { quarterHourOf } from '../../../src/proofs/verifier/usage-time.ts'
import { auditLog, fillLog, MemoryLog, rewrite } from './memory.ts'

// A log in memory whose answers can all be forged, and an audit that trusts none of them.

let log: MemoryLog
beforeEach(() => {
  log = fillLog()
})

const flushOf = (id: number, requests: number) =>
  JSON.stringify({ groups: [1], counts: [1], ids: [id], requests: [requests], successes: [0] })

const linesOf = () => log.events[0]!.map((event) => toEventLine(event))

test('an audit of an honest log with one or more shards finds nothing', async () => {
  const { found, report } = await auditLog(log)
  expect(found).toEqual([])
  expect(report).toMatchObject({ events: 7, claims: 26, missedClaims: 0 })
  expect((await auditLog(fillLog(new MemoryLog(3)))).found).toEqual([])
  expect((await auditLog(new MemoryLog(2))).found).toEqual([])
})

describe('an event', () => {
  test('that is rewritten is reported because of its unchanged tile', async () => {
    log.tampered.leaves = log.leaves()
    log.tampered.entries = log.events[0]!.map(toLeaf)
    const head = log.head()
    log.tampered.head = () => head
    rewrite(log, log.events[0]![4]!, flushOf(8, 6))
    const { found } = await auditLog(log)
    expect(found).toEqual(expect.arrayContaining(['rewritten 0/4', 'root shard 0']))
    expect(found).toContain('attestation 0/5')
  })

  test('that is rewritten with its tile contradicts the signed root', async () => {
    const head = log.head()
    log.tampered.head = () => head
    rewrite(log, log.events[0]![6]!, flushOf(7, 2))
    expect((await auditLog(log)).found).toEqual(['root shard 0'])
  })

  test('that is rewritten and signed again is a fork from a stored head', async () => {
    const kept = new Map([[0, log.head()]])
    rewrite(log, log.events[0]![6]!, flushOf(7, 2))
    expect((await auditLog(log)).found).toEqual([])
    expect((await auditLog(log, { kept })).found).toEqual(['fork shard 0'])
    log.flush(7, 1)
    expect((await auditLog(log, { kept })).found).toEqual(['fork shard 0'])
    expect((await auditLog(log, { kept, headsOnly: true })).found).toEqual(['fork shard 0'])
  })

  test('whose payload does not match its leaf is reported', async () => {
    log.tampered.lines = linesOf()
    const event = log.events[0]![4]!
    log.tampered.lines[4] = toEventLine({ ...event, payload: flushOf(8, 6) })
    expect((await auditLog(log)).found).toContain('payload 0/4')
  })

  test.each([
    ['missing', (lines: string[]) => lines.toSpliced(3, 1), ['order 0/3']],
    ['cut off', (lines: string[]) => lines.slice(0, -2), ['order 0/5']],
    ['duplicated', (lines: string[]) => lines.toSpliced(3, 0, lines[2]!), ['order 0/3']],
    ['invalid', (lines: string[]) => lines.with(2, '{}'), ['order 0/2']],
    ['empty', (lines: string[]) => lines.with(2, ''), ['order 0/2']],
  ])('that is %s is reported at its position', async (_, change, expected) => {
    log.tampered.lines = change(linesOf())
    const { found } = await auditLog(log)
    expect(found.filter((at) => at.startsWith('order'))).toEqual(expected)
  })

  test('that is dropped with its leaf is reported as rolled back, or as a fork', async () => {
    const kept = new Map([[0, log.head()]])
    log.events[0]!.pop()
    expect((await auditLog(log, { kept })).found).toEqual(['rolled_back shard 0'])
    log.flush(7, 99)
    log.flush(7, 99)
    expect((await auditLog(log, { kept })).found).toEqual(['fork shard 0'])
  })

  test('that is older than the one before it is reported', async () => {
    log.events[0]![3] = { ...log.events[0]![3]!, recordedAt: '2025-01-31T12:00:00.000000+00:00' }
    expect((await auditLog(log)).found).toContain('order 0/3')
  })
})

describe('the published log', () => {
  test('is reported if an entry is not the leaf', async () => {
    log.tampered.entries = log.events[0]!.map(toLeaf).with(2, 'x')
    expect((await auditLog(log)).found).toEqual(['published 0/2'])
  })

  test('is reported if a tile contradicts the signed root', async () => {
    log.tampered.leaves = log.leaves().with(2, hashLeaf('x'))
    const { found } = await auditLog(log)
    expect(found).toEqual(
      expect.arrayContaining(['rewritten 0/2', 'published 0/2', 'published shard 0']),
    )
    const source = { ...log.source(), events: null, pages: null }
    expect((await auditLog(log, { source })).found).toEqual(['published 0/2', 'root shard 0'])
  })

  test('is reported if a shard with a stored head or a trusted key is missing', async () => {
    const whole = fillLog(new MemoryLog(3))
    const kept = new Map([[2, whole.head(2)]])
    const less = fillLog(new MemoryLog(2))
    const { keys } = whole
    expect((await auditLog(less, { keys, kept })).found).toContain('rolled_back shard 2')
    expect((await auditLog(less, { keys })).found).toContain('rolled_back shard 2')
    expect((await auditLog(less)).found).toEqual([])
  })

  test('is reported if a stored head is invalid', async () => {
    const unknown = makeSigningKey(log.keys[0]!.name, sha256('stranger'))
    for (const note of ['x', log.head(0, 3, [unknown])]) {
      const { found } = await auditLog(log, { kept: new Map([[0, note]]) })
      expect(found).toContain('signature shard 0')
    }
  })
})

describe('an attestation', () => {
  const changes: [string, (attestation: Attestation) => void][] = [
    ['a wrong digest', ({ tables }) => Object.assign(tables[0]!, { sha256: '0'.repeat(64) })],
    ['a wrong number of rows', ({ tables }) => Object.assign(tables[2]!, { rows: 99 })],
    ['wrong totals', ({ totals }) => Object.assign(totals, { requests: '17' })],
    ['a table missing', ({ tables }) => tables.pop()],
    ['a position ahead of it', ({ tables }) => Object.assign(tables[0]!, { position: 99 })],
    ['its own position', ({ totals }) => Object.assign(totals, { position: 7 })],
  ]
  test.each(changes)('with %s is reported', async (_, change) => {
    const { position } = log.attest(0, change)
    expect((await auditLog(log)).found).toEqual([`attestation 0/${position}`])
  })

  test('without measures is reported if its version covers them', async () => {
    const measures = [{ name: 'cost', number: 0, unit: 'USD' }]
    const change = { upserted: { dimensions: [{ name: 'model' }], measures }, ended: {} }
    const without = (attestation: Attestation) => {
      attestation.tables = attestation.tables.filter(({ table }) => table !== 'measures')
    }
    expect(log.attest().version).toBe(3)
    log.append('CatalogChanged', change, { version: 3 })
    expect(log.attest().version).toBe(4)
    log.append('CatalogChanged', { upserted: {}, ended: { measures } }, { version: 3 })
    log.attest()
    // An instance of a release that knows no measures attests in version 3.
    log.attest(0, without, 3)
    expect((await auditLog(log)).found).toEqual([])
    const { position } = log.attest(0, without)
    expect((await auditLog(log)).found).toEqual([`attestation 0/${position}`])
  })

  test('that is wrong in the log but right in the list of attestations is reported', async () => {
    const payload = JSON.stringify(log.attestation())
    const event = log.attest(0, ({ totals }) => {
      totals.requests = '17'
    })
    const announced = { ...event, payload, payloadSha256: hashPayload(payload) }
    log.tampered.announced = linesOf().with(event.position, toEventLine(announced))
    expect((await auditLog(log)).found).toEqual([`attestation 0/${event.position}`])
  })

  test('that is missing from the list or made up there is reported', async () => {
    log.tampered.announced = linesOf().toSpliced(3, 1)
    expect((await auditLog(log)).found).toEqual(['attestation 0/3'])
    const made = { ...log.events[0]![3]!, position: 4 }
    log.tampered.announced = linesOf().with(4, toEventLine(made))
    expect((await auditLog(log)).found).toContain('attestation 0/4')
  })

  test('whose usage starts after the end of the previous one is reported', async () => {
    const newestBucket = () => quarterHourOf(log.events[0]!.at(-1)!.recordedAt)
    /** Attests as a service that has already attested all usage before a bucket. */
    const attestFrom = (from: string) =>
      log.attest(0, ({ tables }) => {
        const fold = log.fold(0)
        for (const claim of tables.filter(
          ({ table }) => table.endsWith('_usage') && !table.includes('backdated'),
        )) {
          Object.assign(claim, {
            from,
            ...fold.digest(claim.table as AttestedTable, { from }),
          })
        }
      })
    log.attest()
    attestFrom(newestBucket())
    expect((await auditLog(log)).found).toEqual([])
    // No attestation states the usage of this hour.
    for (let i = 0; i < 60; i++) log.flush(1, 1)
    const { position } = attestFrom(newestBucket())
    expect(new Set((await auditLog(log)).found)).toEqual(new Set([`attestation 0/${position}`]))
  })

  test('is compared even if there are more than are read ahead', async () => {
    for (let i = 0; i < 700; i++) log.attest()
    const { found, report } = await auditLog(log)
    expect([found, report.claims]).toEqual([[], 9126])
  })
})
