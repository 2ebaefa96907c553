import { beforeEach, expect, test } from 'bun:test'
import { hashPayload } from '../../../src/events/event.ts'
import { auditLog, fillLog, type MemoryLog, rewrite } from './memory.ts'

// Stored receipts, checked against the log as it is now.

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

test('a valid receipt causes no finding, with or without events or by heads alone', async () => {
  expect(await found()).toEqual([])
  const source = { ...log.source(), events: null, pages: null }
  expect(await found([receipt], { source })).toEqual([])
  expect(await found([receipt], { headsOnly: true })).toEqual([])
})

test('a receipt of an event that was changed and signed again is reported', async () => {
  rewrite(log, log.events[0]![6]!, '{}')
  expect(await found()).toContain('receipt 0/6')
  expect(await found([receipt], { headsOnly: true })).toEqual(['receipt r0'])
  const source = { ...log.source(), events: null, pages: null }
  expect(await found([receipt], { source })).toEqual(['receipt r0'])
})

test('a receipt of a dropped event is reported, even after the log has grown', async () => {
  log.events[0]!.splice(6)
  expect(await found()).toEqual(['receipt r0'])
  expect(await found([receipt], { headsOnly: true })).toEqual(['receipt r0'])
  log.flush(7, 1)
  log.flush(7, 1)
  log.flush(7, 1)
  expect((await found()).length).toBeGreaterThan(0)
})

test('both of two receipts for one position are compared', async () => {
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

test('an invalid receipt is reported by its file name', async () => {
  const { payload } = log.events[0]![5]!
  expect(hashPayload(payload)).toBe(log.events[0]![5]!.payloadSha256)
  expect(await found(['x', receipt, receipt.replace('index 6', 'index 5')])).toEqual([
    'receipt r0',
    'receipt r2',
  ])
})
