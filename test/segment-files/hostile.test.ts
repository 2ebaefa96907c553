import { expect, test } from 'bun:test'
import type { SegmentIndex } from '../../src/segment-files/index-format.ts'
import { joinParts, takeApart, withIndex } from './forge.ts'
import { useHostileFile } from './hostile-file.ts'

// No damaged file, nor one with another index, makes a reader return an event that was not in the
// segment: it is refused, with the reason.

const hostile = useHostileFile()

test('the file is intact before it is changed, and when it is forged without a change', async () => {
  expect(await hostile.check(hostile.file)).toEqual(['verified'])
  expect(await hostile.check(joinParts(takeApart(hostile.file)))).toEqual(['verified'])
})

test('a file that is cut off anywhere is refused', async () => {
  for (let length = 0; length < hostile.file.length; length += 97) {
    expect(await hostile.check(hostile.file.subarray(0, length))).not.toEqual(['verified'])
  }
  expect(await hostile.check(hostile.file.subarray(0, -1))).not.toEqual(['verified'])
  expect(await hostile.check(Buffer.concat([hostile.file, hostile.file.subarray(-1)]))).not.toEqual(
    ['verified'],
  )
})

test('a file in which any bit differs is refused', async () => {
  for (let at = 0; at < hostile.file.length; at += 61) {
    const changed = Buffer.from(hostile.file)
    changed[at]! ^= 1 << (at % 8)
    expect(await hostile.check(changed)).not.toEqual(['verified'])
  }
})

test.each([
  ['shard', { shard: 1 }],
  ['first position', { first: 1 }],
  ['end', { end: 96 }],
  ['index', { indexSha256: '0'.repeat(64) }],
  ['length', { bytes: 1 }],
])('a segment with another %s than expected is refused', async (_, expected) => {
  expect(await hostile.check(hostile.file, expected)).not.toEqual(['verified'])
})

type Change = (index: SegmentIndex) => unknown
const CHANGES: [name: string, change: Change][] = [
  ['is no index', () => ({})],
  ['is of a newer format', (index) => Object.assign(index, { format_version: 2 })],
  ['has another member', (index) => Object.assign(index, { more: 1 })],
  ['has no blocks', (index) => Object.assign(index, { blocks: [] })],
  ['leaves out a block', (index) => index.blocks.splice(1, 1) && index],
  ['has blocks in another order', (index) => index.blocks.reverse() && index],
  [
    'has blocks that overlap',
    (index) => {
      index.blocks[1]!.offset -= 1
    },
  ],
  [
    'has a block beyond the file',
    (index) => {
      index.blocks[2]!.bytes = 1e12
    },
  ],
  [
    'has an empty block',
    (index) => {
      index.blocks[0]!.events = 0
    },
  ],
  [
    'has a block of other events',
    (index) => {
      index.blocks[0]!.events += 1
    },
  ],
  [
    'has a block of all positions',
    (index) => {
      index.blocks[2]!.events = 2 ** 52
    },
  ],
  [
    'has another end',
    (index) => {
      index.end_position += 1
    },
  ],
  [
    'has another first position',
    (index) => {
      index.first_position += 1
    },
  ],
  ['has other types', (index) => Object.assign(index, { types: { KeyStatsFlushed: 95 } })],
  [
    'has more events by type',
    (index) => {
      index.types.ApiKeyStatsFlushed! += 1
    },
  ],
  [
    'has another root',
    (index) => {
      index.tree.root = `${'A'.repeat(43)}=`
    },
  ],
  [
    'has a malformed root',
    (index) => {
      index.tree.root = 'A'
    },
  ],
  ['has peaks before position 0', (index) => void index.tree.peaks.push(index.tree.root)],
  [
    'has times in another order',
    (index) => {
      index.blocks[1]!.first_recorded_at = '3'
    },
  ],
  [
    'has another time',
    (index) => {
      index.blocks[0]!.first_recorded_at = '2026'
    },
  ],
  [
    'claims a bomb',
    (index) => {
      index.blocks[0]!.plain_bytes = 2 ** 52
    },
  ],
  [
    'has a dictionary elsewhere',
    (index) => {
      index.dictionary!.offset += 1
    },
  ],
  [
    'has no dictionary',
    (index) => {
      index.dictionary = null
    },
  ],
  [
    'has another number of texts',
    (index) => {
      index.dictionary!.texts += 1
    },
  ],
]

test.each(CHANGES)('a file whose index %s is refused', async (_, change) => {
  const [kind, reason] = await hostile.check(withIndex(hostile.file, change))
  expect(['lied', 'malformed']).toContain(kind!)
  expect(reason).toContain('hostile')
})
