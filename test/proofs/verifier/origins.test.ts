import { beforeEach, expect, test } from 'bun:test'
import { toEventLine } from '../../../src/events/event-line.ts'
import { auditLog, fillLog, MemoryLog, rewrite } from './memory.ts'

// A log that goes on under another name, and says of which it has come.

let before: MemoryLog
let log: MemoryLog
let both: MemoryLog['keys']
beforeEach(() => {
  before = fillLog()
  log = new MemoryLog(1, 'new.example.com')
  both = [...before.keys, ...log.keys]
})

/** The log goes on with the events that were, or that `lose` has left of them. */
function goOn(lose: (log: MemoryLog) => void = () => {}): void {
  log.events[0]!.push(...before.events[0]!)
  lose(log)
  const previous = before.head()
  log.append('OriginChanged', { origin: log.keys[0]!.name, previous })
  for (let i = 0; i < 9; i++) log.flush(7, 1)
}

const kept = () => new Map([[0, before.head()]])

test('with all its events it is the same log, to who trusts both keys', async () => {
  goOn()
  expect((await auditLog(log, { keys: both })).found).toEqual([])
  expect((await auditLog(log, { keys: both, kept: kept() })).found).toEqual([])
  expect((await auditLog(log, { keys: both, kept: kept(), headsOnly: true })).found).toEqual([])
})

test('who trusts the old key only finds that another has signed', async () => {
  goOn()
  const { found } = await auditLog(log, { keys: before.keys, kept: kept() })
  expect(found).toEqual(['signature shard 0'])
})

test('who trusts the new key only is told of the old origin', async () => {
  goOn()
  const { found, report } = await auditLog(log)
  expect(found).toEqual([])
  expect(report.notes).toMatchSnapshot()
})

test('events that were lost on the way are found, by the head that the log cites itself', async () => {
  goOn((one) => one.events[0]!.splice(4))
  expect((await auditLog(log, { keys: both })).found).toEqual(['fork 0/4'])
  expect((await auditLog(log, { keys: both, kept: kept() })).found).toEqual(['fork shard 0'])
  log.events[0]!.splice(6)
  expect((await auditLog(log, { keys: both })).found).toEqual(['rolled_back 0/4'])
})

test('an event that was changed on the way is found', async () => {
  goOn((one) => rewrite(one, one.events[0]![6]!, '{}'))
  expect((await auditLog(log, { keys: both })).found).toEqual(['fork 0/7'])
})

test('a change that the list of them leaves out is found', async () => {
  goOn()
  const lines = log.events[0]!.map((event) => toEventLine(event))
  log.tampered.told = lines.toSpliced(7, 1)
  expect((await auditLog(log, { keys: both })).found).toEqual(['attestation 0/7'])
})

test('a head that is none is told of', async () => {
  log.append('OriginChanged', { origin: 'x', previous: 'y' })
  expect((await auditLog(log)).report.notes).toMatchSnapshot()
})
