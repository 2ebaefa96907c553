/**
 * Compares encodings of archived events by their bytes per count, and prints the table of
 * docs/decisions/0028-the-file-of-a-segment.md:
 *
 *     bun bench/segment-sizes.ts          10,000 events of each kind; some minutes
 *     bun bench/segment-sizes.ts 2000     fewer
 */
import { randomBytes } from 'node:crypto'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { attributeApiKeyFlush } from '../src/events/api-key-flush.ts'
import type { Details } from '../src/events/details.ts'
import { hashPayload, type StoredEvent, versionOf } from '../src/events/event.ts'
import { toEventLine } from '../src/events/event-line.ts'
import { type AttributedFlush, encodeFlush } from '../src/events/flush.ts'
import { attributeKeyFlush } from '../src/events/key-flush.ts'
import { Dictionary } from '../src/segment-files/blocks/dictionary.ts'
import { BlockBuilder, type PlainBlock } from '../src/segment-files/blocks/encode.ts'
import { fromMicroseconds } from '../src/segment-files/blocks/time.ts'
import { DIMENSIONS, groupOf, MEASURES, makeDetails, makeEntries } from './workload.ts'

const EVENTS = Number(process.argv[2] ?? 10_000)
/** Bytes before compression that are compressed together. */
const BLOCK = 1024 * 1024

const HASHES = Array.from({ length: 10_000 }, () => randomBytes(32).toString('hex'))
const below = (end: number) => Math.floor(Math.random() * end)

/** Flushes of some kind, which are recorded at a time (seconds since 1970). */
type Workload = { name: string; keys: number; make: (keys: number, at: number) => AttributedFlush }

const WORKLOADS: Workload[] = [
  { name: '100 API keys', keys: 100, make: (keys) => apiKeyFlush(keys) },
  {
    ...{ name: '100, counted apart', keys: 100 },
    make: (keys, at) => apiKeyFlush(keys, { counted_at: at - below(5) }),
  },
  {
    ...{ name: '100, 2 dimensions, 4 measures', keys: 100 },
    make: (keys) => {
      const flush = apiKeyFlush(keys)
      return { ...flush, data: { ...flush.data, details: detailsOf(flush.data.requests) } }
    },
  },
  { name: '100 token keys', keys: 100, make: tokenFlush },
  { name: '1 API key', keys: 1, make: (keys) => apiKeyFlush(keys) },
]

function apiKeyFlush(keys: number, more: { counted_at?: number } = {}) {
  const data = { ...attributeApiKeyFlush(makeEntries(keys), groupOf), ...more }
  return { type: 'ApiKeyStatsFlushed' as const, data }
}

function tokenFlush(keys: number, at: number): AttributedFlush {
  const { ids, requests } = makeEntries(keys)
  const entries = {
    hashes: ids.map((id) => HASHES[id - 1]!),
    requests,
    tokens: requests.map((count) => below(count * 2_000)),
    last_accessed_at: ids.map(() => Math.floor(at) - below(5)),
  }
  return { type: 'KeyStatsFlushed', data: attributeKeyFlush(entries, () => true) }
}

function detailsOf(requests: readonly number[]): Details {
  const rows = requests.map(makeDetails)
  const texts = rows.map(({ dimensions }) => JSON.stringify(dimensions))
  const distinct = [...new Set(texts)]
  const combinations = distinct.map((text) => {
    const values = JSON.parse(text) as Record<string, string>
    return DIMENSIONS.map((name) => values[name]!)
  })
  const measures = MEASURES.map((name, number) => ({
    ...{ name, number },
    values: rows.map(({ measures }) => measures[name]!),
  })).sort((a, b) => (a.name < b.name ? -1 : 1))
  const combination = texts.map((text) => distinct.indexOf(text))
  return { dimensions: DIMENSIONS, combinations, counted: combinations, combination, measures }
}

function makeEvents({ keys, make }: Workload): StoredEvent[] {
  let at = Date.UTC(2026, 0, 31) * 1_000
  return Array.from({ length: EVENTS }, (_, position) => {
    at += 50_000 + below(100_000)
    const event = make(keys, at / 1e6)
    const payload = encodeFlush(event)
    return {
      ...{ shard: 0, position, type: event.type, version: versionOf(event), source: 'dp', payload },
      ...{ recordedAt: fromMicroseconds(at), idempotencyKey: crypto.randomUUID() },
      payloadBytes: payload.length,
      payloadSha256: hashPayload(payload),
    }
  })
}

/** Returns the length of bytes that are compressed block by block. */
function sizeOf(text: string, compress: (bytes: Buffer) => Buffer): number {
  const bytes = Buffer.from(text)
  let size = 0
  for (let at = 0; at < bytes.length; at += BLOCK) {
    size += compress(bytes.subarray(at, at + BLOCK)).length
  }
  return size
}

const zstd = (level: number) => (bytes: Buffer) =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } })
const gzip = (bytes: Buffer) => gzipSync(bytes, { level: 6 })

function toBlocks(events: readonly StoredEvent[]): { blocks: PlainBlock[]; dictionary: Buffer } {
  const dictionary = new Dictionary()
  const blocks: PlainBlock[] = []
  let block = new BlockBuilder(dictionary)
  for (const event of events) {
    block.add(event)
    if (block.characters < BLOCK && block.events < 4_096) continue
    blocks.push(block.end())
    block = new BlockBuilder(dictionary)
  }
  if (block.events > 0) blocks.push(block.end())
  return { blocks, dictionary: Buffer.from(JSON.stringify(dictionary.texts)) }
}

type Split = 'block' | 'column' | 'plane'

/** Returns the parts of a block that are compressed each by itself. */
function framesOf({ header, columns }: PlainBlock, split: Split): Buffer[] {
  const first = Buffer.from(`${JSON.stringify(header)}\n`)
  if (split === 'block') return [Buffer.concat([first, ...columns])]
  if (split === 'column') return [first, ...columns.filter(({ length }) => length > 0)]
  return [
    first,
    ...columns.flatMap((bytes, i) => {
      const [, length, width] = header.columns[i]!
      return Array.from({ length: width }, (_, plane) =>
        bytes.subarray(plane * length, (plane + 1) * length),
      )
    }),
  ]
}

type Encoding = { name: string; level: number | null; size: number }

/** Returns the bytes of the encodings with levels for which `include` is true. */
function measure(
  events: readonly StoredEvent[],
  include: (level: number | null) => boolean,
): Encoding[] {
  const encodings: Encoding[] = []
  const add = (name: string, level: number | null, size: () => number) => {
    if (include(level)) encodings.push({ name, level, size: size() })
  }
  const line = (leafHash: boolean) =>
    events.map((event) => `${toEventLine(event, { leafHash })}\n`).join('')
  const [hashed, plain] = [line(true), line(false)]
  add('lines with leaf_hash, not compressed', null, () => hashed.length)
  add('lines with leaf_hash, gzip 6', null, () => sizeOf(hashed, gzip))
  add('lines with leaf_hash, zstd 3', 3, () => sizeOf(hashed, zstd(3)))
  add('lines, gzip 6', null, () => sizeOf(plain, gzip))
  for (const level of [3, 9, 19]) {
    add(`lines, zstd ${level}`, level, () => sizeOf(plain, zstd(level)))
  }
  const payloads = events.map(({ payload }) => `${payload}\n`).join('')
  const heads = events
    .map((event) => `${JSON.stringify([event.recordedAt, event.source, event.idempotencyKey])}\n`)
    .join('')
  for (const level of [3, 9, 19]) {
    const size = () => sizeOf(payloads, zstd(level)) + sizeOf(heads, zstd(level))
    add(`payloads and the rest apart, no hashes, zstd ${level}`, level, size)
  }
  const { blocks } = toBlocks(events)
  for (const [split, level] of [
    ...[['block', 3] as const, ['block', 19] as const, ['column', 3] as const],
    ...[['plane', 3] as const, ['plane', 9] as const, ['plane', 19] as const],
  ]) {
    add(`columns, a frame for each ${split}, zstd ${level}`, level, () => {
      const frames = blocks.flatMap((block) => framesOf(block, split))
      return frames.reduce((sum, frame) => sum + zstd(level)(frame).length, 0)
    })
  }
  return encodings
}

/** Events of which level 19 compresses a sample: all of them would take an hour. */
const SAMPLE = 1_000

const columns = WORKLOADS.map((workload) => {
  const events = makeEvents(workload)
  const sample = events.slice(0, SAMPLE)
  // The dictionary is that of all events.
  const dictionary = zstd(3)(toBlocks(events).dictionary).length
  const perCount = (size: number, count: number) => (size / count / workload.keys).toFixed(2)
  const encodings = [
    ...measure(events, (level) => level !== 19).map((found) => ({ ...found, of: EVENTS })),
    ...measure(sample, (level) => level === 19).map((found) => ({ ...found, of: sample.length })),
  ]
  const cells = encodings.map(({ name, size, of }) => {
    const shared = name.startsWith('columns') ? (dictionary * of) / EVENTS : 0
    return [name, perCount(size + shared, of)] as const
  })
  console.error(`${workload.name}: done`)
  return { ...workload, cells: new Map(cells) }
})
console.log(`| encoding | ${columns.map(({ name }) => name).join(' | ')} |`)
console.log(`|---|${'---|'.repeat(columns.length)}`)
for (const name of columns[0]!.cells.keys()) {
  console.log(`| ${name} | ${columns.map(({ cells }) => cells.get(name)).join(' | ')} |`)
}
