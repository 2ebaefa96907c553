import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { StoredEvent } from '../../src/events/event.ts'
import { pack } from '../../src/events/packed.ts'
import { compressBlock, decompress } from '../../src/segment-files/blocks/compress.ts'
import { decodeBlock } from '../../src/segment-files/blocks/decode.ts'
import { Dictionary } from '../../src/segment-files/blocks/dictionary.ts'
import { BlockBuilder, UnfitEvent } from '../../src/segment-files/blocks/encode.ts'
import { parametersOf, runsOf } from '../property/runs.ts'
import { makeEvent, makeFlushes } from './events.ts'

// What a block of a segment returns is what was put into it, and it is small.

const MOST = 2 ** 29

/** Encodes and compresses events, then reads them. */
async function passThrough(events: readonly StoredEvent[]) {
  const dictionary = new Dictionary()
  const builder = new BlockBuilder(dictionary)
  for (const event of events) builder.add(event)
  const { bytes, plainBytes } = await compressBlock(builder.end())
  const plain = await decompress(bytes, plainBytes)
  const { shard, position } = events[0]!
  const place = { shard, first_position: position, events: events.length }
  return { bytes, events: decodeBlock(plain, place, dictionary.texts, MOST) }
}

/** Events of these payloads, at consecutive positions. */
const eventsOf = (payloads: readonly string[]) =>
  payloads.map((payload, i) => makeEvent(payload, { position: 7 + i }))

test.each([
  ['without a time of their own', { counted: false }],
  ['with packed columns', { counted: true }],
] as const)('100 counts take less than 300 bytes in flushes %s', async (_, shape) => {
  const flushes = makeFlushes(1_000, shape)
  const read = await passThrough(flushes)
  expect(read.events).toEqual(flushes)
  expect(read.bytes.length).toBeLessThan(1_000 * 300)
})

test('a block returns the payloads of every kind of event, letter by letter', async () => {
  const docs = readFileSync(join(import.meta.dir, '../../docs/reference/log-format.md'), 'utf8')
  const examples = [...docs.matchAll(/```json\n(.*)\n```|`(\{"[^`]*\})`/g)]
  const payloads = examples.map(([, block, inline]) => (block ?? inline)!)
  expect(payloads.length).toBeGreaterThan(15)
  const events = eventsOf(payloads)
  expect((await passThrough(events)).events).toEqual(events)
})

test('a block returns payloads that look like what is taken out of them', async () => {
  const events = eventsOf([
    ...[
      '{}',
      '[]',
      '[0]',
      '0',
      '[1,2]',
      '[1,-2]',
      '[01]',
      '[1.0,2]',
      '[9007199254740993]',
      '"\\u0001"',
    ],
    ...['{"a":[1,2],"b":[1,2]}', '{"ids":[3,"2A=="],"x":[53,"////////////"]}', '{"a":[3,"2B=="]}'],
    ...['{"a":[0,""]}', '{"a":[14,"AAAA"]}', '{"a":[60,"AAAA"]}', '{"a":["x","y"],"b":["x"]}'],
    ...[
      '{"a":["\\"","x"]}',
      '["ü","😀"]',
      '{"s":"p-1/22-033;last","t":"1.6f3a"}',
      ' { "a" : [ 1 ] } ',
    ],
    ...[
      '{"\\":":[1]}',
      '{"n":1e5,"m":-1,"o":1.5}',
      '{\n"a":\t[1,\r2]}',
      `{"a":["${'é'.repeat(9)}"]}`,
    ],
  ])
  expect((await passThrough(events)).events).toEqual(events)
})

test('a block returns the largest flushes and changes of the catalog', async () => {
  const ids = Array.from({ length: 200_000 }, (_, i) => i)
  const events = eventsOf([
    JSON.stringify({ ids, requests: ids, failing: [-1] }),
    JSON.stringify({ hashes: ids.map((id) => `sk-${id}`), ids: pack(ids) }),
    JSON.stringify({ names: [...ids.map((id) => `sk-${id}`), null], more: [...ids, 0.5] }),
    JSON.stringify({
      upserted: { api_keys: ids.slice(0, 20_000).map((id) => ({ id, group_id: 1, name: null })) },
    }),
  ])
  const builder = new BlockBuilder(new Dictionary())
  for (const event of events.slice(0, 2)) builder.add(event)
  // Nothing is left of the lists.
  expect(JSON.stringify(builder.end().header.templates).length).toBeLessThan(1_000)
  expect((await passThrough(events)).events).toEqual(events)
})

test('a block returns any JSON, and any key, source and type', async () => {
  const event = fc.record({
    payload: fc.oneof(
      fc.json(),
      fc.array(fc.maxSafeNat()).map((ids) => JSON.stringify({ ids, n: ids.length })),
      fc.array(fc.base64String()).map((texts) => JSON.stringify({ x: [3, ...texts] })),
    ),
    idempotencyKey: fc.option(fc.string({ unit: 'grapheme' })),
    source: fc.string(),
    type: fc.constantFrom('ApiKeyStatsFlushed', '__proto__', ''),
    version: fc.nat(2 ** 15 - 1),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 20 }), async (found) => {
      const events = found.map(({ payload, ...rest }, i) =>
        makeEvent(payload, { position: i, ...rest }),
      )
      expect((await passThrough(events)).events).toEqual(events)
    }),
    parametersOf(runsOf(100)),
  )
})

test('the hashes of token keys are in a segment once', async () => {
  const hashes = Array.from({ length: 200 }, (_, i) => Bun.hash(String(i)).toString(16).repeat(4))
  const payloads = Array.from({ length: 100 }, () =>
    JSON.stringify({ hashes, requests: hashes.map(() => 1) }),
  )
  const dictionary = new Dictionary()
  const builder = new BlockBuilder(dictionary)
  for (const event of eventsOf(payloads)) builder.add(event)
  expect(dictionary.texts).toEqual(hashes)
  expect(builder.end().header.texts).toEqual([])
})

test('texts that the dictionary has no room for are in the block', async () => {
  const dictionary = new Dictionary()
  const long = (i: number) => `${i}`.padEnd(1024 * 1024, 'x')
  const texts = [0, 1, 2, 3, 4, 5, 4].map(long)
  const builder = new BlockBuilder(dictionary)
  const [event] = eventsOf([JSON.stringify({ a: texts })])
  builder.add(event!)
  const block = builder.end()
  expect([dictionary.texts.length, block.header.texts.length]).toEqual([4, 2])
  const { bytes, plainBytes } = await compressBlock(block)
  const plain = await decompress(bytes, plainBytes)
  const place = { shard: 0, first_position: 7, events: 1 }
  expect(decodeBlock(plain, place, dictionary.texts, MOST)).toEqual([event!])
})

test.each([
  ['a payload with another hash', { payloadSha256: '0'.repeat(64) }],
  ['a time before that of the last event', { recordedAt: '2026-01-31T11:59:59.999999+00:00' }],
  ['a time before 1970', { recordedAt: '1969-12-31T23:59:59.999999+00:00' }],
  ['a time that is no exact number', { recordedAt: '9999-12-31T23:59:59.999999+00:00' }],
  ['a time in another form', { recordedAt: '2026-01-31T12:00:00+00:00' }],
  ['a payload that is no JSON', { payload: '\x01', payloadSha256: 'any' }],
])('an event with %s is refused', (_, members) => {
  const builder = new BlockBuilder(new Dictionary())
  builder.add(makeEvent('{}'))
  const event = makeEvent('{}', { position: 1, ...members })
  expect(() => builder.add(event)).toThrow(UnfitEvent)
})
