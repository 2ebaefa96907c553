import { expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { isStorable } from '../../src/events/columns.ts'
import { hashPayload } from '../../src/events/event.ts'
import { type LineEvent, parseEventLine, toEventLine } from '../../src/events/event-line.ts'
import { hashLeaf, toLeaf } from '../../src/events/leaf.ts'

const event: LineEvent = {
  shard: 0,
  position: 41,
  type: 'ApiKeyStatsFlushed',
  version: 2,
  recordedAt: '2026-01-31T12:00:00.123456+00:00',
  source: 'dp',
  idempotencyKey: 'flush-1',
  payload: '{}',
  payloadSha256: hashPayload('{}'),
}

const text = fc.string({ unit: 'binary', maxLength: 20 }).filter(isStorable)
const names = fc.oneof(text, fc.constantFrom(',"payload":', ',"leaf_hash":"', '"}', '\\"', '\n\r'))
const payloads = fc.oneof(
  fc.json(),
  fc.json().map((json) => ` ${json}\n`),
  fc.constantFrom(
    '{\r}',
    '[1,\n2]',
    '{"a":1,"a":2}',
    '"\\ud800"',
    '1e999',
    '{"payload":{"payload":1}}',
  ),
)
const events: fc.Arbitrary<LineEvent> = fc
  .record({
    shard: fc.nat(1_023),
    position: fc.nat(Number.MAX_SAFE_INTEGER),
    type: names,
    version: fc.nat(32_767),
    source: names,
    idempotencyKey: fc.option(names),
    payload: payloads,
    at: fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
  })
  .map(({ at, ...rest }) => ({
    ...rest,
    recordedAt: at.toISOString().replace('Z', '789+00:00'),
    payloadSha256: hashPayload(rest.payload),
  }))

test('an event line decodes to the same event, character by character, and is one line', () => {
  fc.assert(
    fc.property(events, fc.boolean(), (event, leafHash) => {
      const line = toEventLine(event, { leafHash })
      expect(line).not.toMatch(/[\n\r]/)
      const parsed = parseEventLine(line)
      if (parsed.kind !== 'event') throw new Error(`${parsed.reason}: ${line}`)
      expect(parsed.event).toEqual(event)
      expect(parsed.leafHash).toBe(leafHash ? hashLeaf(toLeaf(event)).toString('hex') : null)
    }),
  )
})

test('a line with one character changed is malformed, or its hashes do not match', () => {
  const property = fc.property(events, fc.nat(), fc.nat(127), (event, at, code) => {
    const line = toEventLine(event, { leafHash: true })
    const i = at % line.length
    const changed = line.slice(0, i) + String.fromCharCode(code) + line.slice(i + 1)
    const parsed = parseEventLine(changed)
    if (parsed.kind === 'malformed') return
    const { event: read, leafHash } = parsed
    const isWhole =
      hashPayload(read.payload) === read.payloadSha256 &&
      hashLeaf(parsed.leaf).toString('hex') === leafHash
    expect(isWhole).toBe(changed === line)
  })
  fc.assert(property, { numRuns: 2_000 })
})

test('a line that no export writes is malformed', () => {
  const line = toEventLine(event, { leafHash: true })
  const changes: [string, string][] = [
    ['{"shard":0,', '{"shard": 0,'],
    ['"shard":0,', '"shard":-1,'],
    ['"shard":0,"position":41', '"position":41,"shard":0'],
    ['"position":41', '"position":41.0'],
    ['"position":41', '"position":9007199254740992'],
    ['"position":41', '"position":"41"'],
    ['"version":2', '"version":2,"extra":1'],
    ['"version":2', '"version":1,"version":2'],
    ['"source":"dp"', '"source":"\\u0064p"'],
    ['"source":"dp"', '"source":"\\u0000"'],
    ['"source":"dp"', '"source":null'],
    ['"flush-1"', '"\\ud800"'],
    ['2026-01-31', '2026-02-31'],
    ['12:00:00', '24:00:00'],
    ['+00:00', '+01:00'],
    ['.123456', '.123'],
    ['44136f', '44136F'],
    [',"leaf_hash":"', ',"leaf_hash":"0'],
    [',"payload":{}}', ',"payload":{},"payload":{}}'],
    [',"payload":{}}', ',"payload":}'],
    [',"payload":{}}', ',"payload_text":"{}"}'],
    [',"payload":{}}', ',"payload_text":"{\\n"}'],
    [',"payload":{}}', ',"payload_text":"\\"\\ud800\\"\\n"}'],
    [',"payload":{}}', '}'],
    [',"payload":{}}', ',"payload":{}'],
  ]
  for (const [from, to] of changes) {
    expect(line).toContain(from)
    const parsed = parseEventLine(line.replace(from, to))
    expect(`${to} ${parsed.kind}`).toBe(`${to} malformed`)
  }
  for (const other of ['', '{', '{}', 'null', '[]', `${line} `, ` ${line}`, `${line}\n`]) {
    expect(parseEventLine(other).kind).toBe('malformed')
  }
})

const LEAF =
  '{"shard":0,"position":41,"type":"ApiKeyStatsFlushed","version":2,' +
  '"recorded_at":"2026-01-31T12:00:00.123456+00:00","source":"dp","idempotency_key":"flush-1",' +
  '"payload_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}'
const LEAF_HASH = '1d051b3adf5d7ac31dcbd1d38e45f627124cfa4be452b2ce033ba38a324a6621'

test('the documented leaf is the leaf of its event, and has the documented hash', () => {
  expect(toLeaf(event)).toBe(LEAF)
  const bytes = Buffer.concat([Buffer.of(0), Buffer.from(LEAF)])
  expect(hash('sha256', bytes, 'hex')).toBe(LEAF_HASH)
  expect(hashLeaf(LEAF).toString('hex')).toBe(LEAF_HASH)
  const root = join(import.meta.dir, '../..')
  const source = readFileSync(join(root, 'src/events/leaf.ts'), 'utf8')
  expect(source.replace(/\n \* {6}/g, '')).toContain(LEAF)
  expect(source).toContain(LEAF_HASH)
  const document = readFileSync(join(root, 'docs/reference/log-format.md'), 'utf8')
  expect(document).toContain(`\n${LEAF}\n`)
  expect(document).toContain(`\`${LEAF_HASH}\``)
  expect(document).toContain(`\n${toEventLine(event, { leafHash: true })}\n`)
})
