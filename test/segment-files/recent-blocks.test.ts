import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { Block } from '../../src/segment-files/blocks/decode.ts'
import { Dictionary } from '../../src/segment-files/blocks/dictionary.ts'
import { BlockBuilder } from '../../src/segment-files/blocks/encode.ts'
import { RecentBlocks } from '../../src/segment-files/recent-blocks.ts'
import { makeFlushes } from './events.ts'

// Blocks that were read last are kept within a bound of bytes, and any part of one can be decoded.

const EVENTS = makeFlushes(40, { keys: 5 })

function makeBlock(events: readonly StoredEvent[]): Block {
  const dictionary = new Dictionary()
  const builder = new BlockBuilder(dictionary)
  for (const event of events) builder.add(event)
  const { header, columns } = builder.end()
  const plain = Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...columns])
  const place = { shard: 0, first_position: events[0]!.position, events: events.length }
  return new Block(plain, place, dictionary.texts, 2 ** 20)
}

const block = makeBlock(EVENTS)

test('every part of a block is decoded as it is in the whole', () => {
  for (let from = 0; from <= EVENTS.length; from++) {
    for (let end = from; end <= EVENTS.length; end++) {
      expect(block.decode(from, end)).toEqual(EVENTS.slice(from, end))
      const pages = [...block.pages(from, end, 7)]
      expect(pages.flat()).toEqual(EVENTS.slice(from, end))
      for (const page of pages.slice(0, -1)) expect(page).toHaveLength(7)
    }
  }
})

test('the time of an event is known without decoding it', () => {
  for (const [i, { recordedAt }] of EVENTS.entries()) expect(block.recordedAt(i)).toBe(recordedAt)
})

/** Gets blocks, and returns the names of those that were fetched. */
async function fetchAll(recent: RecentBlocks, names: string, bytes = 10): Promise<string> {
  let fetched = ''
  for (const name of names) {
    await recent.get(name, bytes, async () => {
      fetched += name
      return block
    })
  }
  return fetched
}

test('those read last are kept, as many as the bound allows', async () => {
  const recent = new RecentBlocks(30)
  expect(await fetchAll(recent, 'abcabc')).toBe('abc')
  expect(await fetchAll(recent, 'adbac')).toBe('dbc')
  expect(recent.bytes).toBe(30)
})

test('one that is larger than the bound is returned and not kept', async () => {
  const recent = new RecentBlocks(30)
  await fetchAll(recent, 'ab')
  expect(await fetchAll(recent, 'xx', 31)).toBe('xx')
  expect(await fetchAll(recent, 'ab')).toBe('')
  expect(recent.bytes).toBe(20)
})

test('readers at the same time fetch a block once', async () => {
  const recent = new RecentBlocks(30)
  let fetched = 0
  const fetch = async () => {
    fetched++
    return block
  }
  const all = await Promise.all(Array.from({ length: 5 }, () => recent.get('a', 10, fetch)))
  expect(all).toEqual(new Array(5).fill(block))
  expect(fetched).toBe(1)
})

test('a failure is not kept', async () => {
  const recent = new RecentBlocks(30)
  const failing = recent.get('a', 10, () => Promise.reject(new Error('down')))
  await expect(failing).rejects.toThrow('down')
  expect(recent.bytes).toBe(0)
  expect(await fetchAll(recent, 'a')).toBe('a')
})
