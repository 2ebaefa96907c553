import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeEvent, toRows, versionOf } from '../../src/events/event.ts'
import { type AttributedFlush, encodeFlush } from '../../src/events/flush.ts'

// The examples of packed columns in docs/reference/log-format.md.

const docs = readFileSync(join(import.meta.dir, '../../docs/reference/log-format.md'), 'utf8')
const examples = [...docs.matchAll(/```json\n(.*)\n```/g)].map(([, text]) => text!)
const exampleWith = (pattern: RegExp) => examples.find((text) => pattern.test(text))!

const TIMED = exampleWith(/^\{"groups".*"counted_at":\d+\}$/)
const DETAILED = exampleWith(/^\{"groups".*"dimensions":\{/)
const COMBINED = exampleWith(/^\{"groups".*"combinations"/)
const SEQUENCED = exampleWith(/^\{"groups".*"sequence"/)
const KEYS = exampleWith(/^\{"hashes".*"counted_at"/)

/** Decodes a payload, which must be the one that is written for its event. */
function rowsOf(type: AttributedFlush['type'], version: number, payload: string) {
  const event = decodeEvent(type, version, Buffer.from(payload)) as AttributedFlush
  expect(encodeFlush(event)).toBe(payload)
  expect(versionOf(event)).toBe(version)
  expect(event.data.counted_at).toBe(1_769_860_800)
  return toRows(event)
}

const COUNTED = [
  { api_key_id: 1, group_id: 1, requests: 3, success_requests: 1 },
  { api_key_id: 2, group_id: 1, requests: 5, success_requests: 5 },
  { api_key_id: 4, group_id: 0, requests: 4, success_requests: 4 },
  { api_key_id: 777, group_id: null, requests: 1, success_requests: 0 },
]

test('a flush of API keys has the entries of version 2, and a time', () => {
  expect(rowsOf('ApiKeyStatsFlushed', 4, TIMED)).toEqual(COUNTED)
})

test('a flush with dimensions has the values posted and counted', () => {
  const rows = rowsOf('ApiKeyStatsFlushed', 5, DETAILED)!
  // As it was written at first.
  expect(toRows(decodeEvent('ApiKeyStatsFlushed', 4, Buffer.from(COMBINED)))).toEqual(rows)
  expect(rows).toMatchObject(COUNTED)
  expect(
    rows.map(({ dimensions, counted_dimensions, measures }) => [
      ...[dimensions, counted_dimensions, measures],
    ]),
  ).toEqual([
    [{ model: 'gpt-5', status: '200' }, undefined, { input_tokens: 1_200 }],
    [{ model: 'gpt-5' }, undefined, { input_tokens: 0 }],
    [{ model: 'gpt-x', status: '200' }, { model: 'other', status: '200' }, { input_tokens: 7 }],
    [{ model: 'gpt-5', status: '200' }, undefined, { input_tokens: 0 }],
  ])
})

test('a flush of token keys has three states of a quota', () => {
  expect(rowsOf('KeyStatsFlushed', 2, KEYS)).toMatchObject([
    { token_hash: '3f08…', quota_tracked: true, tokens: 3, last_accessed_at: 1_769_860_000 },
    { token_hash: '50d8…', quota_tracked: null, requests: 1, tokens: 0, last_accessed_at: 0 },
  ])
})

test('a flush with a sequence has it as it was sent', () => {
  const event = decodeEvent('ApiKeyStatsFlushed', 6, Buffer.from(SEQUENCED)) as AttributedFlush
  expect(encodeFlush(event)).toBe(SEQUENCED)
  expect(event.data.sequence).toBe('gateway-1.6f3a/5-6;last')
  expect(toRows(event)).toMatchObject([{ api_key_id: 7, requests: 3, success_requests: 3 }])
})

const python = Bun.which('python3')

test.skipIf(python === null)('the Python of the document unpacks the example', async () => {
  const code = /```python\n(import base64[\s\S]*?)```/.exec(docs)![1]!
  const print = `${code}\nprint(unpack([3, 'dhA='], 4), unpack([10, 'AEAgEwk='], 4))`
  const run = Bun.spawn([python!, '-c', print], { stdout: 'pipe' })
  expect(await run.stdout.text()).toBe('[3, 5, 4, 1] [1, 2, 4, 777]\n')
})
