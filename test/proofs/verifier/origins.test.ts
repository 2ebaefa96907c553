import { beforeEach, expect, test } from 'bun:test'
import { toEventLine } from '../../../src/events/event-line.ts'
import { auditLog, fillLog, MemoryLog, rewrite } from './memory.ts'

// A log that continues under another name and links its previous one.

let before: MemoryLog
let log: MemoryLog
let both: MemoryLog['keys']
beforeEach(() => {
  before = fillLog()
  log = new MemoryLog(1, 'new.example.com')
  both = [...before.keys, ...log.keys]
})

/** Continues the old log under the new name, after `lose` has changed its events. */
function continueLog(lose: (log: MemoryLog) => void = () => {}): void {
  log.events[0]!.push(...before.events[0]!)
  lose(log)
  const previous = before.head()
  log.append('OriginChanged', { origin: log.keys[0]!.name, previous })
  for (let i = 0; i < 9; i++) log.flush(7, 1)
}

const kept = () => new Map([[0, before.head()]])

test('an auditor that trusts both keys accepts a log that continues with all events', async () => {
  continueLog()
  expect((await auditLog(log, { keys: both })).found).toEqual([])
  expect((await auditLog(log, { keys: both, kept: kept() })).found).toEqual([])
  expect((await auditLog(log, { keys: both, kept: kept(), headsOnly: true })).found).toEqual([])
})

test('an auditor that trusts only the old key reports an unknown signature', async () => {
  continueLog()
  const { found } = await auditLog(log, { keys: before.keys, kept: kept() })
  expect(found).toEqual(['signature shard 0'])
})

test('an auditor that trusts only the new key is informed of the old origin', async () => {
  continueLog()
  const { found, report } = await auditLog(log)
  expect(found).toEqual([])
  expect(report.notes).toMatchSnapshot()
})

test('events lost at the change of name are reported because of the linked head', async () => {
  continueLog((one) => one.events[0]!.splice(4))
  expect((await auditLog(log, { keys: both })).found).toEqual(['fork 0/4'])
  expect((await auditLog(log, { keys: both, kept: kept() })).found).toEqual(['fork shard 0'])
  log.events[0]!.splice(6)
  expect((await auditLog(log, { keys: both })).found).toEqual(['rolled_back 0/4'])
})

test('an event that was altered at the change of name is reported', async () => {
  continueLog((one) => rewrite(one, one.events[0]![6]!, '{}'))
  expect((await auditLog(log, { keys: both })).found).toEqual(['fork 0/7'])
})

test('a change of origin that is missing from their list is reported', async () => {
  continueLog()
  const lines = log.events[0]!.map((event) => toEventLine(event))
  log.tampered.announced = lines.toSpliced(7, 1)
  expect((await auditLog(log, { keys: both })).found).toEqual(['attestation 0/7'])
})

test('an invalid linked head is reported in a note', async () => {
  log.append('OriginChanged', { origin: 'x', previous: 'y' })
  expect((await auditLog(log)).report.notes).toMatchSnapshot()
})
