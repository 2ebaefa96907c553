import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { formatEntries, parseEntries } from '../../../src/proofs/merkle/entries.ts'
import { formatTilePath, levelWidth, parseTilePath } from '../../../src/proofs/merkle/tile.ts'

describe('the path of a tile', () => {
  test('has the format of the specification', () => {
    const full = { level: 0, number: 1_234_067, width: 256 }
    expect(formatTilePath(full)).toBe('tile/0/x001/x234/067')
    expect(formatTilePath({ level: 0, number: 273, width: 112 })).toBe('tile/0/273.p/112')
    expect(formatTilePath(full, 'entries')).toBe('tile/entries/x001/x234/067')
  })

  test('is parsed as it was formatted', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 63 }),
        fc.oneof(fc.nat(1_000_000), fc.nat({ max: Number.MAX_SAFE_INTEGER })),
        fc.integer({ min: 1, max: 256 }),
        fc.constantFrom('hashes' as const, 'entries' as const),
        (level, number, width, content) => {
          const tile = { level: content === 'entries' ? 0 : level, number, width }
          expect(parseTilePath(formatTilePath(tile, content))).toEqual({ ...tile, content })
        },
      ),
    )
  })

  test.each([
    'tile/0/0',
    'tile/0/00',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/x000/000',
    'tile/0/001/000',
    'tile/0/x001/x000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000.p/',
    'tile/0/000/',
    '/tile/0/000',
    'tile/0/000?',
    'tile/entries/x000/000',
    'tile/8/0/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    'checkpoint',
    '',
  ])('is not %p', (path) => {
    expect(parseTilePath(path)).toBeNull()
  })
})

test('a tree of 70,000 leaves has the levels that the specification lists', () => {
  expect([0, 1, 2, 3].map((level) => levelWidth(level, 70_000))).toEqual([
    273 * 256 + 112,
    256 + 17,
    1,
    0,
  ])
})

describe('a bundle of entries', () => {
  test('has each entry after its length', () => {
    expect(formatEntries(['a', '', 'é'])?.toString('hex')).toBe('000161000000' + '02c3a9')
  })

  test('is parsed as it was formatted', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 256 }), (leaves) => {
        expect(parseEntries(formatEntries(leaves)!)).toEqual(leaves)
      }),
    )
  })

  test('has no entry of more than 65,535 bytes', () => {
    expect(formatEntries(['a'.repeat(65_535)])).not.toBeNull()
    expect(formatEntries(['a'.repeat(65_536)])).toBeNull()
  })

  test.each(['00', '0001', '000261', '0001ff', '00016100'])('is not %p', (bytes) => {
    expect(parseEntries(Buffer.from(bytes, 'hex'))).toBeNull()
  })
})
