import { expect, test } from 'bun:test'
import { CheckedFile } from '../../src/segment-files/fetch.ts'
import { putSegment } from '../../src/segment-files/put.ts'
import { Segment } from '../../src/segment-files/read.ts'
import type { SegmentStore } from '../../src/segment-files/stores/store.ts'
import { inPages, makeFlushes } from './events.ts'
import { planOf } from './folder.ts'

/** Yields pieces of bytes. */
export async function* inPieces(bytes: Buffer, size = 700_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Bytes that differ from place to place. */
export const makeBytes = (length: number) =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 9)) & 255))

/** Registers the tests of what every store promises. The store must be empty. */
export function testStore(kind: string, store: () => SegmentStore): void {
  test(`${kind} returns ranges of what was stored, and lists and removes it`, async () => {
    const bytes = makeBytes(300_000)
    const name = 'shard-0/0-5.segment'
    expect(await store().put(name, inPieces(bytes, 7_000))).toEqual({
      ...{ kind: 'stored', bytes: bytes.length },
    })
    expect(await store().size(name)).toEqual({ kind: 'found', bytes: bytes.length })
    for (const [offset, length] of [
      ...[[0, 1] as const, [1_000, 123_456] as const, [299_999, 1] as const],
      [0, bytes.length] as const,
    ]) {
      const read = await store().read(name, { offset, length })
      expect(read).toEqual({ kind: 'read', bytes: bytes.subarray(offset, offset + length) })
    }
    for (const other of ['shard-0/5-9.segment', 'shard-1/0-5.segment', 'a']) {
      expect(await store().put(other, inPieces(bytes))).toMatchObject({ kind: 'stored' })
    }
    const names = ['a', name, 'shard-0/5-9.segment', 'shard-1/0-5.segment']
    expect(await store().list()).toEqual({ kind: 'listed', names })
    for (const listed of names) expect(await store().remove(listed)).toEqual({ kind: 'removed' })
    expect(await store().list()).toEqual({ kind: 'listed', names: [] })
  })

  test(`${kind} replaces nothing`, async () => {
    const bytes = makeBytes(10)
    await store().put('kept', inPieces(bytes))
    expect(await store().put('kept', inPieces(makeBytes(11)))).toEqual({ kind: 'exists' })
    expect(await store().size('kept')).toEqual({ kind: 'found', bytes: 10 })
    await store().remove('kept')
  })

  test(`${kind} says what is not there`, async () => {
    expect(await store().size('none')).toMatchObject({ kind: 'not_found' })
    expect(await store().read('none', { offset: 0, length: 1 })).toMatchObject({
      kind: 'not_found',
    })
    await store().put('short', inPieces(makeBytes(10)))
    for (const range of [
      { offset: 9, length: 2 },
      { offset: 10, length: 1 },
      { offset: 1e9, length: 5 },
    ]) {
      expect(await store().read('short', range)).toMatchObject({ kind: 'lied' })
    }
    await store().remove('short')
  })

  test(`${kind} has nothing of a content that fails, after little or after many parts`, async () => {
    for (const pieces of [0, 1, 30]) {
      const content = (async function* () {
        yield* inPieces(makeBytes(pieces * 700_000))
        throw new Error('the log is gone')
      })()
      const put = store().put('broken', content)
      expect(await put.catch((error: Error) => error.message)).toBe('the log is gone')
      expect(await store().size('broken')).toMatchObject({ kind: 'not_found' })
      expect(await store().list()).toEqual({ kind: 'listed', names: [] })
    }
  })

  test(`${kind} returns an object of several parts`, async () => {
    const bytes = makeBytes(20_000_000)
    expect(await store().put('large', inPieces(bytes))).toMatchObject({ bytes: bytes.length })
    const read = await store().read('large', { offset: 8_000_000, length: 1_000_000 })
    expect(read.kind === 'read' && read.bytes.equals(bytes.subarray(8_000_000, 9_000_000))).toBe(
      true,
    )
    await store().remove('large')
  })

  test(`${kind} keeps a segment, which is read back when it is put`, async () => {
    const events = makeFlushes(200)
    const name = 'shard-0/0-200.segment'
    const put = await putSegment(store(), name, planOf(events), inPages(events))
    expect(put).toMatchObject({ kind: 'stored', index: { end_position: 200 } })
    const segment = await Segment.open(new CheckedFile(store(), name))
    expect(await segment.readEvent(177)).toEqual(events[177]!)
    expect(await putSegment(store(), name, planOf(events), inPages(events))).toEqual({
      kind: 'exists',
    })
    await store().remove(name)
  })

  test(`${kind} has no names that lead elsewhere`, async () => {
    for (const name of ['', '/a', '../a', 'a/../b', 'a//b', 'A', 'a/', 'ä', 'a b', '.a']) {
      const size = store().size(name)
      expect(await size.catch((error: Error) => error.message)).toContain("can't name a segment")
    }
  })
}
