import { beforeEach, describe, expect, test } from 'bun:test'
import type { AttestedTable } from '../../../src/events/digest.ts'
import { hashPayload } from '../../../src/events/event.ts'
import { toEventLine } from '../../../src/events/event-line.ts'
import { hashLeaf, toLeaf } from '../../../src/events/leaf.ts'
import type { Attestation } from '../../../src/events/statement.ts'
import { sha256 } from '../../../src/proofs/merkle/hash.ts'
import { makeSigningKey } from '../../../src/proofs/merkle/key.ts'
import { quarterHourOf } from '../../../src/proofs/verifier/fold.ts'
import { auditLog, fillLog, MemoryLog, rewrite } from './memory.ts'

// A log in memory, of which every answer can be forged, and an audit that believes none.

let log: MemoryLog
beforeEach(() => {
  log = fillLog()
})

const flushOf = (id: number, requests: number) =>
  JSON.stringify({ groups: [1], counts: [1], ids: [id], requests: [requests], successes: [0] })

const linesOf = () => log.events[0]!.map((event) => toEventLine(event))

test('an honest log is found sound, in one shard and in three', async () => {
  const { found, report } = await auditLog(log)
  expect(found).toEqual([])
  expect(report).toMatchObject({ events: 7, claims: 20, missedClaims: 0 })
  expect((await auditLog(fillLog(new MemoryLog(3)))).found).toEqual([])
  expect((await auditLog(new MemoryLog(2))).found).toEqual([])
})

describe('the events', () => {
  test('a rewritten one is named by the tile that was left', async () => {
    log.tampered.leaves = log.leaves()
    log.tampered.entries = log.events[0]!.map(toLeaf)
    const head = log.head()
    log.tampered.head = () => head
    rewrite(log, log.events[0]![4]!, flushOf(8, 6))
    const { found } = await auditLog(log)
    expect(found).toEqual(expect.arrayContaining(['rewritten 0/4', 'root shard 0']))
    expect(found).toContain('attestation 0/5')
  })

  test('rewritten with its tile, it is not in the signed tree', async () => {
    const head = log.head()
    log.tampered.head = () => head
    rewrite(log, log.events[0]![6]!, flushOf(7, 2))
    expect((await auditLog(log)).found).toEqual(['root shard 0'])
  })

  test('rewritten and signed again, it is a fork to who kept a head', async () => {
    const kept = new Map([[0, log.head()]])
    rewrite(log, log.events[0]![6]!, flushOf(7, 2))
    expect((await auditLog(log)).found).toEqual([])
    expect((await auditLog(log, { kept })).found).toEqual(['fork shard 0'])
    log.flush(7, 1)
    expect((await auditLog(log, { kept })).found).toEqual(['fork shard 0'])
    expect((await auditLog(log, { kept, headsOnly: true })).found).toEqual(['fork shard 0'])
  })

  test('a payload that is not the one of the leaf is named', async () => {
    log.tampered.lines = linesOf()
    const event = log.events[0]![4]!
    log.tampered.lines[4] = toEventLine({ ...event, payload: flushOf(8, 6) })
    expect((await auditLog(log)).found).toContain('payload 0/4')
  })

  test.each([
    ['dropped', (lines: string[]) => lines.toSpliced(3, 1), ['order 0/3']],
    ['cut off', (lines: string[]) => lines.slice(0, -2), ['order 0/5']],
    ['doubled', (lines: string[]) => lines.toSpliced(3, 0, lines[2]!), ['order 0/3']],
    ['none', (lines: string[]) => lines.with(2, '{}'), ['order 0/2']],
    ['empty', (lines: string[]) => lines.with(2, ''), ['order 0/2']],
  ])('one that is %s is named by its place', async (_, change, expected) => {
    log.tampered.lines = change(linesOf())
    const { found } = await auditLog(log)
    expect(found.filter((at) => at.startsWith('order'))).toEqual(expected)
  })

  test('dropped with its leaf and signed again, it is rolled back, or a fork', async () => {
    const kept = new Map([[0, log.head()]])
    log.events[0]!.pop()
    expect((await auditLog(log, { kept })).found).toEqual(['rolled_back shard 0'])
    log.flush(7, 99)
    log.flush(7, 99)
    expect((await auditLog(log, { kept })).found).toEqual(['fork shard 0'])
  })

  test('time that goes back is named', async () => {
    log.events[0]![3] = { ...log.events[0]![3]!, recordedAt: '2025-01-31T12:00:00.000000+00:00' }
    expect((await auditLog(log)).found).toContain('order 0/3')
  })
})

describe('what is published', () => {
  test('an entry that is not the leaf is named', async () => {
    log.tampered.entries = log.events[0]!.map(toLeaf).with(2, 'x')
    expect((await auditLog(log)).found).toEqual(['published 0/2'])
  })

  test('a tile that does not make the signed root is named', async () => {
    log.tampered.leaves = log.leaves().with(2, hashLeaf('x'))
    const { found } = await auditLog(log)
    expect(found).toEqual(
      expect.arrayContaining(['rewritten 0/2', 'published 0/2', 'published shard 0']),
    )
    const source = { ...log.source(), events: null, pages: null }
    expect((await auditLog(log, { source })).found).toEqual(['published 0/2', 'root shard 0'])
  })

  test('a shard that is not there any more is missed, by its head and by its key', async () => {
    const whole = fillLog(new MemoryLog(3))
    const kept = new Map([[2, whole.head(2)]])
    const less = fillLog(new MemoryLog(2))
    const { keys } = whole
    expect((await auditLog(less, { keys, kept })).found).toContain('rolled_back shard 2')
    expect((await auditLog(less, { keys })).found).toContain('rolled_back shard 2')
    expect((await auditLog(less)).found).toEqual([])
  })

  test('a kept head that can not be relied on is no reason to begin anew', async () => {
    const stranger = makeSigningKey(log.keys[0]!.name, sha256('stranger'))
    for (const note of ['x', log.head(0, 3, [stranger])]) {
      const { found } = await auditLog(log, { kept: new Map([[0, note]]) })
      expect(found).toContain('signature shard 0')
    }
  })
})

describe('attestations', () => {
  const changes: [string, (attestation: Attestation) => void][] = [
    ['a digest', ({ tables }) => Object.assign(tables[0]!, { sha256: '0'.repeat(64) })],
    ['a number of rows', ({ tables }) => Object.assign(tables[2]!, { rows: 99 })],
    ['totals', ({ totals }) => Object.assign(totals, { requests: '17' })],
    ['a table left out', ({ tables }) => tables.pop()],
    ['a position to come', ({ tables }) => Object.assign(tables[0]!, { position: 99 })],
    ['its own position', ({ totals }) => Object.assign(totals, { position: 7 })],
  ]
  test.each(changes)('one that is wrong in %s is named', async (_, change) => {
    const { position } = log.attest(0, change)
    expect((await auditLog(log)).found).toEqual([`attestation 0/${position}`])
  })

  test('one that was wrong in the log and right in the list of them is named', async () => {
    const payload = JSON.stringify(log.attestation())
    const event = log.attest(0, ({ totals }) => {
      totals.requests = '17'
    })
    const told = { ...event, payload, payloadSha256: hashPayload(payload) }
    log.tampered.told = linesOf().with(event.position, toEventLine(told))
    expect((await auditLog(log)).found).toEqual([`attestation 0/${event.position}`])
  })

  test('one that the list leaves out, or has made up, is named', async () => {
    log.tampered.told = linesOf().toSpliced(3, 1)
    expect((await auditLog(log)).found).toEqual(['attestation 0/3'])
    const made = { ...log.events[0]![3]!, position: 4 }
    log.tampered.told = linesOf().with(4, toEventLine(made))
    expect((await auditLog(log)).found).toContain('attestation 0/4')
  })

  test('one whose usage begins later than the one before it has ended is named', async () => {
    const newestQuarter = () => quarterHourOf(log.events[0]!.at(-1)!.recordedAt)
    /** As a service attests that has attested all usage before a quarter. */
    const attestFrom = (from: string) =>
      log.attest(0, ({ tables }) => {
        const fold = log.fold(0)
        for (const claim of tables.filter(({ table }) => table.endsWith('_usage'))) {
          Object.assign(claim, {
            from,
            ...fold.digest(claim.table as AttestedTable, { from }),
          })
        }
      })
    log.attest()
    attestFrom(newestQuarter())
    expect((await auditLog(log)).found).toEqual([])
    // Of an hour nobody says what was used in it.
    for (let i = 0; i < 60; i++) log.flush(1, 1)
    const { position } = attestFrom(newestQuarter())
    expect(new Set((await auditLog(log)).found)).toEqual(new Set([`attestation 0/${position}`]))
  })

  test('more of them than are held at once are compared all the same', async () => {
    for (let i = 0; i < 700; i++) log.attest()
    const { found, report } = await auditLog(log)
    expect([found, report.claims]).toEqual([[], 7020])
  })
})
