import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { toEventLine } from '../../src/events/event-line.ts'

const event: StoredEvent = {
  shard: 3,
  position: 41,
  type: 'KeyStatsFlushed',
  version: 1,
  recordedAt: '2026-01-31T12:00:00.123456+00:00',
  source: 'a "source"\n',
  idempotencyKey: null,
  payload: '{ "hashes":["\\u0061é"], "requests":[1e2]}',
  payloadBytes: 40,
  payloadSha256: 'ab',
}

test('a line has the members in their order, and the payload letter by letter', () => {
  expect(toEventLine(event)).toBe(
    '{"shard":3,"position":41,"type":"KeyStatsFlushed","version":1,' +
      '"recorded_at":"2026-01-31T12:00:00.123456+00:00","source":"a \\"source\\"\\n",' +
      '"idempotency_key":null,"payload_sha256":"ab",' +
      '"payload":{ "hashes":["\\u0061é"], "requests":[1e2]}}',
  )
})

test('a payload with line breaks becomes a string, and the line stays one', () => {
  for (const payload of ['{\n}', '{}\r', '\r\n[1,\n"\\n"]']) {
    const line = toEventLine({ ...event, payload })
    expect(line).not.toMatch(/[\r\n]/)
    const { payload_text, ...rest } = JSON.parse(line)
    expect(payload_text).toBe(payload)
    expect(rest).not.toHaveProperty('payload')
  }
})
