import { hash } from 'node:crypto'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import {
  FIRST_LINE,
  formatIndex,
  formatTrailer,
  parseTrailer,
  type SegmentIndex,
  TRAILER_BYTES,
} from '../../src/segment-files/index-format.ts'

/** A file taken apart. Blocks are not compressed. */
export type Parts = { index: SegmentIndex; blocks: Buffer[]; dictionary: Buffer | null }

/** Takes a file apart, without checking anything. */
export function takeApart(file: Buffer): Parts {
  const trailer = parseTrailer(file.subarray(-TRAILER_BYTES))!
  const end = file.length - TRAILER_BYTES
  const index = JSON.parse(file.subarray(end - trailer.bytes, end).toString()) as SegmentIndex
  const plainOf = ({ offset, bytes }: { offset: number; bytes: number }) =>
    zstdDecompressSync(file.subarray(offset, offset + bytes))
  return {
    index,
    blocks: index.blocks.map(plainOf),
    dictionary: index.dictionary === null ? null : plainOf(index.dictionary),
  }
}

/** Joins the parts of a file with lengths and hashes that are right, as a forger would. */
export function joinParts({ index, blocks, dictionary }: Parts): Buffer {
  const pieces: Buffer[] = [FIRST_LINE]
  let offset = FIRST_LINE.length
  const place = (plain: Buffer) => {
    const bytes = zstdCompressSync(plain)
    pieces.push(bytes)
    const sha256 = hash('sha256', bytes, 'hex')
    const placed = { offset, bytes: bytes.length, sha256, plain_bytes: plain.length }
    offset += bytes.length
    return placed
  }
  const placed = {
    ...index,
    blocks: index.blocks.map((block, i) => ({ ...block, ...place(blocks[i]!) })),
    dictionary: dictionary === null ? null : { ...index.dictionary!, ...place(dictionary) },
  }
  return Buffer.concat([...pieces, ...endOf(placed)])
}

/** Replaces the index of a file, and makes the trailer right. */
export function withIndex(file: Buffer, change: (index: SegmentIndex) => unknown): Buffer {
  const trailer = parseTrailer(file.subarray(-TRAILER_BYTES))!
  const start = file.length - TRAILER_BYTES - trailer.bytes
  const { index } = takeApart(file)
  const changed = change(index) ?? index
  return Buffer.concat([file.subarray(0, start), ...endOf(changed as SegmentIndex)])
}

function endOf(index: SegmentIndex): Buffer[] {
  const text = formatIndex(index)
  return [text, formatTrailer(text.length, hash('sha256', text, 'hex'))]
}

/** Changes the header of a block that is not compressed. */
export function withHeader(block: Buffer, change: (header: Record<string, unknown>) => void) {
  const end = block.indexOf(0x0a)
  const header = JSON.parse(block.subarray(0, end).toString()) as Record<string, unknown>
  change(header)
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), block.subarray(end + 1)])
}
