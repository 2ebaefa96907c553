import { expect, test } from 'bun:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { decodeBlock } from '../../src/segment-files/blocks/decode.ts'
import { BlockError } from '../../src/segment-files/blocks/numbers.ts'
import { parametersOf, runsOf } from '../property/runs.ts'
import { joinParts, type Parts, takeApart, withHeader, withIndex } from './forge.ts'
import { useHostileFile } from './hostile-file.ts'

// A forged file, in which every hash was recomputed, is refused if its blocks are not what they
// should be, and takes no memory beyond what a block may have.

const hostile = useHostileFile()

/** Changes the header of a block. */
const header =
  (change: (header: Record<string, unknown>) => void, block = 0) =>
  ({ blocks }: Parts) => {
    blocks[block] = withHeader(blocks[block]!, change)
  }

/** Changes how many numbers a column has, or how wide they are. */
const column = (name: string, change: (column: unknown[]) => void) =>
  header((found) => {
    const columns = found.columns as [string, number, number][]
    change(columns.find(([column]) => column === name)!)
  })

const FORGERIES: [name: string, forge: (parts: Parts) => void][] = [
  [
    'another payload',
    ({ blocks }) => {
      blocks[0]![blocks[0]!.length - 1]! ^= 1
    },
  ],
  [
    'another source',
    header((found) => {
      ;(found.templates as unknown[][])[0]![2] = 'x'
    }),
  ],
  [
    'another key',
    header((found) => {
      ;(found.keys as string[])[0] = 'x'
    }),
  ],
  ['a key less', header((found) => void (found.keys as string[]).pop())],
  ['a key more', header((found) => void (found.keys as string[]).push('x'))],
  ['another number of events', header((found) => Object.assign(found, { events: 41 }))],
  ['fewer characters', header((found) => Object.assign(found, { characters: 10 }))],
  ['more characters', header((found) => Object.assign(found, { characters: 1e9 }))],
  ['another time', header((found) => Object.assign(found, { time: 0 }))],
  ['the end of time', header((found) => Object.assign(found, { time: 2 ** 53 - 1 }))],
  ['no templates', header((found) => Object.assign(found, { templates: [] }))],
  ['no columns', header((found) => Object.assign(found, { columns: [] }))],
  ['another member', header((found) => Object.assign(found, { more: 1 }))],
  [
    'a long column',
    column('template', (found) => {
      found[1] = 2 ** 53 - 1
    }),
  ],
  ['an endless list', column('list ids', (found) => found.splice(1, 2, 2 ** 53 - 1, 0))],
  [
    'a wide column',
    column('list ids', (found) => {
      found[2] = 7
    }),
  ],
  [
    'a column twice',
    column('list ids', (found) => {
      found[0] = 'list requests'
    }),
  ],
  [
    'another column',
    column('list ids', (found) => {
      found[0] = 'list x'
    }),
  ],
  [
    'no header',
    ({ blocks }) => {
      blocks[0] = Buffer.from('x')
    },
  ],
  [
    'no bytes',
    ({ blocks }) => {
      blocks[0] = Buffer.alloc(0)
    },
  ],
  [
    'more bytes',
    ({ blocks }) => {
      blocks[0] = Buffer.concat([blocks[0]!, Buffer.alloc(1)])
    },
  ],
  [
    'another text',
    (parts) => {
      parts.dictionary = Buffer.from('["a1","b3"]')
    },
  ],
  [
    'a dictionary that is no list',
    (parts) => {
      parts.dictionary = Buffer.from('{}')
    },
  ],
  [
    'a dictionary of numbers',
    (parts) => {
      parts.dictionary = Buffer.from('[1,2]')
    },
  ],
  ['blocks exchanged', ({ blocks }) => void blocks.splice(0, 2, blocks[1]!, blocks[0]!)],
]

test.each(FORGERIES)('a file with %s, with all hashes recomputed, is refused', async (_, forge) => {
  const parts = takeApart(hostile.file)
  forge(parts)
  const [kind, reason] = await hostile.check(joinParts(parts))
  expect([kind, reason]).toEqual(['malformed', expect.stringContaining('hostile')])
})

test('a block that decompresses to more than it states is refused before it does', async () => {
  const parts = takeApart(hostile.file)
  const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
  const joined = joinParts({
    ...parts,
    blocks: [Buffer.alloc(64 * 1024 * 1024), ...parts.blocks.slice(1)],
  })
  const changed = withIndex(joined, (index) => {
    index.blocks[0]!.plain_bytes = 1_000
  })
  expect(joined.includes(bomb)).toBe(true)
  expect((await hostile.check(changed))[1]).toContain("can't be decompressed")
})

test('a block of arbitrary bytes is one of the events it states, or is refused', () => {
  const [block] = takeApart(hostile.file).blocks
  const place = { shard: 0, first_position: 0, events: 40 }
  const edit = fc.tuple(fc.nat(block!.length - 1), fc.nat(255))
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const changed = Buffer.from(block!)
      for (const [at, value] of edits) changed[at] = value
      try {
        expect(decodeBlock(changed, place, ['a1', 'b2'], 2 ** 20)).toHaveLength(40)
      } catch (error) {
        expect(error).toBeInstanceOf(BlockError)
      }
    }),
    parametersOf(runsOf(1_000)),
  )
})
