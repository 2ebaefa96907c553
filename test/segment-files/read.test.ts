import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { Frontier, rootOfHashes } from '../../src/proofs/merkle/frontier.ts'
import { makeSigningKey } from '../../src/proofs/merkle/key.ts'
import { consistencyRanges } from '../../src/proofs/merkle/tree.ts'
import { signTreeHead } from '../../src/proofs/merkle/tree-head.ts'
import { BlockCache } from '../../src/segment-files/cache.ts'
import { CheckedFile } from '../../src/segment-files/fetch.ts'
import { putSegment } from '../../src/segment-files/put.ts'
import { Segment, type SegmentRange } from '../../src/segment-files/read.ts'
import { openDirectory } from '../../src/segment-files/stores/directory.ts'
import { verifySegment } from '../../src/segment-files/verify.ts'
import { inPages, leavesOf, makeEvent, makeFlushes } from './events.ts'
import { planOf, useFolder, watch } from './folder.ts'

// A segment in a store returns the events that were put into it, and fetches only what it needs.

const folder = useFolder()
const LOG = makeFlushes(500, { keys: 5 })
const [FIRST, END] = [100, 450]
const EVENTS = LOG.slice(FIRST, END)

let number = 0

/** Puts the events from FIRST up to END into a segment, and opens it. */
async function openSegment(events: readonly StoredEvent[] = LOG, cache: BlockCache | null = null) {
  const store = watch(openDirectory(folder.path))
  const name = `shard-0/${number++}.segment`
  const put = await putSegment(store, name, planOf(events, FIRST, END), inPages(EVENTS, 33))
  expect(put).toMatchObject({ kind: 'stored' })
  const file = new CheckedFile(store, name, cache)
  const segment = await Segment.open(file)
  store.ranges.length = 0
  return { store, name, file, segment }
}

async function readAll(segment: Segment, range: SegmentRange): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  for await (const page of segment.readPages(range)) events.push(...page)
  return events
}

test('every event is returned, by its position, and none outside', async () => {
  const { segment } = await openSegment()
  for (const event of EVENTS) expect(await segment.readEvent(event.position)).toEqual(event)
  for (const position of [-1, FIRST - 1, END, 1e9, 1.5 - 2]) {
    expect(await segment.readEvent(position)).toBeNull()
  }
})

test.each([
  ['all', { after: -1 }, EVENTS],
  ['some', { after: 147, through: 203 }, LOG.slice(148, 204)],
  ['one', { after: 139, through: 140 }, LOG.slice(140, 141)],
  ['the last ones', { after: 444, through: 10_000 }, LOG.slice(445, END)],
  ['none after the end', { after: END - 1 }, []],
  ['none before it', { after: -1, through: FIRST - 1 }, []],
  ['none between', { after: 200, through: 200 }, []],
])('a range returns %s, forwards and backwards', async (_, range, events) => {
  const { segment } = await openSegment()
  expect(await readAll(segment, range)).toEqual(events)
  expect(await readAll(segment, { ...range, newestFirst: true })).toEqual(events.toReversed())
})

test('one event needs one block', async () => {
  const { segment, store } = await openSegment()
  await segment.readEvent(222)
  await segment.readEvent(223)
  const block = segment.index.blocks[3]!
  expect(store.ranges).toEqual([{ offset: block.offset, length: block.bytes }])
})

test('many readers of one block fetch it once', async () => {
  const { segment, store } = await openSegment()
  await Promise.all(EVENTS.slice(0, 40).map(({ position }) => segment.readEvent(position)))
  expect(store.ranges).toHaveLength(1)
})

test('a range from the end needs only the last blocks', async () => {
  const { segment, store } = await openSegment()
  for await (const page of segment.readPages({ after: -1, newestFirst: true })) {
    expect(page[0]).toEqual(EVENTS.at(-1)!)
    break
  }
  // The next one is read while the first is in use.
  expect(store.ranges.length).toBeLessThanOrEqual(2)
})

test('the first position at a time is found in the index and one block', async () => {
  const { segment, store } = await openSegment()
  for (const [i, { recordedAt, position }] of EVENTS.entries()) {
    if (i % 10 !== 0) continue
    store.ranges.length = 0
    expect(await segment.positionAt(recordedAt)).toBe(position)
    expect(store.ranges.length).toBeLessThanOrEqual(1)
  }
  expect(await segment.positionAt('2000-01-01T00:00:00.000000+00:00')).toBe(FIRST)
  expect(await segment.positionAt('2100-01-01T00:00:00.000000+00:00')).toBe(END)
  const between = LOG[200]!.recordedAt.replace(/\d\+00:00$/, '9+00:00')
  expect(await segment.positionAt(between)).toBe(
    LOG.find(({ recordedAt }) => recordedAt >= between)!.position,
  )
})

test('events of equal time are all found from the first', async () => {
  const events = Array.from({ length: 100 }, (_, position) => makeEvent('{}', { position }))
  const store = openDirectory(folder.path)
  await putSegment(store, 'equal', planOf(events), inPages(events))
  const segment = await Segment.open(new CheckedFile(store, 'equal'))
  expect(await segment.positionAt(events[0]!.recordedAt)).toBe(0)
})

test('the cache serves what was fetched once, to another process too', async () => {
  const cache = () => new BlockCache(`${folder.path}/cache`)
  const { segment, file, store, name } = await openSegment(LOG, cache())
  await readAll(segment, { after: -1 })
  expect(store.ranges).toHaveLength(segment.index.blocks.length)
  store.ranges.length = 0
  const again = new Segment(new CheckedFile(store, name, cache()), segment.index)
  expect(await readAll(again, { after: -1 })).toEqual(EVENTS)
  expect(await readAll(new Segment(file, segment.index), { after: -1 })).toEqual(EVENTS)
  expect(store.ranges).toEqual([])
})

test('a check computes the roots of the log before and after the segment', async () => {
  const { file } = await openSegment()
  const rootAt = (size: number) => {
    const tree = new Frontier()
    for (const leaf of leavesOf(LOG.slice(0, size))) tree.append(leaf)
    return tree.root()
  }
  expect(await verifySegment(file, { shard: 0, first: FIRST, end: END })).toMatchObject({
    ...{ kind: 'verified', head: 'none' },
    ...{ before: rootAt(FIRST), root: rootAt(END) },
  })
})

test('a later signed head proves a segment by the consistency proof', async () => {
  const origin = 'stats.example.com/audit/log/0'
  const key = makeSigningKey(origin)
  const leaves = leavesOf(LOG)
  const rootOf = ({ from, to }: { from: number; to: number }) =>
    rootOfHashes(leaves.slice(from, to))
  const root = rootOf({ from: 0, to: LOG.length })
  const { note } = signTreeHead({ origin, size: LOG.length, root }, [key])
  const store = openDirectory(folder.path)
  const proof = consistencyRanges(END, LOG.length).map(rootOf)
  const other = consistencyRanges(END - 1, LOG.length).map(rootOf)
  for (const [name, given, kind] of [
    ...[['later', proof, 'verified'] as const, ['unproven', [], 'problem'] as const],
    ['misproven', other, 'problem'] as const,
  ]) {
    const plan = { ...planOf(LOG, FIRST, END), origin, signedHead: { note, proof: given } }
    await putSegment(store, name, plan, inPages(EVENTS))
    const verified = await verifySegment(new CheckedFile(store, name), { keys: [key] })
    expect(verified.kind).toBe(kind)
  }
})

test('a signed head proves a segment to those who know the key', async () => {
  const origin = 'stats.example.com/audit/log/0'
  const [key, other] = [makeSigningKey(origin), makeSigningKey(origin)]
  const tree = new Frontier()
  for (const leaf of leavesOf(EVENTS)) tree.append(leaf)
  const { note } = signTreeHead({ origin, size: EVENTS.length, root: tree.root() }, [key])
  const events = EVENTS.map((event, position) => ({ ...event, position }))
  const own = new Frontier()
  for (const leaf of leavesOf(events)) own.append(leaf)
  const signed = signTreeHead({ origin, size: events.length, root: own.root() }, [key]).note
  const store = openDirectory(folder.path)
  const check = async (name: string, head: string) => {
    const plan = { ...planOf(events), origin, signedHead: { note: head, proof: [] } }
    expect((await putSegment(store, name, plan, inPages(events))).kind).toBe('stored')
    const file = new CheckedFile(store, name)
    const kinds = []
    for (const keys of [[key], [other], []]) {
      const verified = await verifySegment(file, { keys })
      kinds.push(verified.kind === 'verified' ? verified.head : verified.failure.reason)
    }
    return kinds
  }
  expect(await check('signed', signed)).toEqual([
    ...['signed', expect.stringContaining('no known key has signed it'), 'none'],
  ])
  // The head of a log in which the same events have other positions.
  expect(await check('other-log', note)).toEqual([
    ...[expect.stringContaining('another log'), expect.stringContaining('no known key'), 'none'],
  ])
})
