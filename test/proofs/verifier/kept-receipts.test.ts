import { beforeEach, expect, test } from 'bun:test'
import { hashPayload } from '../../../src/events/event.ts'
import { auditLog, fillLog, type MemoryLog, rewrite } from './memory.ts'

// Receipts that somebody kept, against the log as it is now.

let log: MemoryLog
let receipt: string
beforeEach(async () => {
  log = fillLog()
  receipt = await log.receipt(log.events[0]![6]!)
  log.flush(7, 1)
})

const found = async (texts = [receipt], options = {}) =>
  (await auditLog(log, { receipts: new Map(texts.map((text, i) => [`r${i}`, text])), ...options }))
    .found

test('one that holds is no finding, with events, without them, and by heads alone', async () => {
  expect(await found()).toEqual([])
  const source = { ...log.source(), events: null, pages: null }
  expect(await found([receipt], { source })).toEqual([])
  expect(await found([receipt], { headsOnly: true })).toEqual([])
})

test('one of an event that was changed and signed again does not hold', async () => {
  rewrite(log, log.events[0]![6]!, '{}')
  expect(await found()).toContain('receipt 0/6')
  expect(await found([receipt], { headsOnly: true })).toEqual(['receipt r0'])
  const source = { ...log.source(), events: null, pages: null }
  expect(await found([receipt], { source })).toEqual(['receipt r0'])
})

test('one of an event that was dropped does not hold, however the log went on', async () => {
  log.events[0]!.splice(6)
  expect(await found()).toEqual(['receipt r0'])
  expect(await found([receipt], { headsOnly: true })).toEqual(['receipt r0'])
  log.flush(7, 1)
  log.flush(7, 1)
  log.flush(7, 1)
  expect((await found()).length).toBeGreaterThan(0)
})

test('each of two for one position is compared', async () => {
  const event = { ...log.events[0]![6]! }
  rewrite(log, event, '{"other":1}')
  const other = await log.receipt(event, 7)
  rewrite(log, event, event.payload)
  for (const receipts of [
    [receipt, other],
    [other, receipt],
  ]) {
    expect(await found(receipts)).toContain('receipt 0/6')
  }
})

test('one that is itself wrong is named by its file', async () => {
  const { payload } = log.events[0]![5]!
  expect(hashPayload(payload)).toBe(log.events[0]![5]!.payloadSha256)
  expect(await found(['x', receipt, receipt.replace('index 6', 'index 5')])).toEqual([
    'receipt r0',
    'receipt r2',
  ])
})
