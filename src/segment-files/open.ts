import { hash } from 'node:crypto'
import { SegmentError } from './failure.ts'
import type { CheckedFile } from './fetch.ts'
import {
  FIRST_LINE,
  parseIndex,
  parseTrailer,
  type SegmentIndex,
  TRAILER_BYTES,
} from './index-format.ts'

/** What is known of a segment without its file. A file that differs is refused. */
export type ExpectedSegment = {
  shard?: number
  first?: number
  end?: number
  /** SHA-256 of the index, in hex. */
  indexSha256?: string
  /** The length of the file; if absent, the store is asked. */
  bytes?: number
}

/** The index of a file, with its hash and the length of the file. */
export type OpenedIndex = { index: SegmentIndex; indexSha256: string; bytes: number }

/** Bytes at the end of a file that are read first: the whole index, if it has up to 250 blocks. */
const TAIL_BYTES = 64 * 1024

/**
 * Reads the index of a segment's file. Throws SegmentError if it can't be read, is malformed, or
 * that of another segment.
 */
export async function readIndex(
  file: CheckedFile,
  expected: ExpectedSegment = {},
): Promise<OpenedIndex> {
  const bytes = expected.bytes ?? (await file.size())
  // What was stored was a segment.
  const kind = expected.indexSha256 === undefined ? 'malformed' : 'lied'
  const malformed = (reason: string) =>
    new SegmentError({ kind, reason: `${file.name} is no segment: ${reason}` })
  if (bytes < FIRST_LINE.length + TRAILER_BYTES) throw malformed('it is too short')
  const tailAt = Math.max(bytes - TAIL_BYTES, 0)
  const tail = await file.readUnchecked({ offset: tailAt, length: bytes - tailAt })
  const trailer = parseTrailer(tail.subarray(-TRAILER_BYTES))
  if (trailer === null) throw malformed('it has no trailer, so it may be cut off')
  const offset = bytes - TRAILER_BYTES - trailer.bytes
  if (offset < FIRST_LINE.length) throw malformed('its index is longer than the file')
  const text =
    offset >= tailAt
      ? tail.subarray(offset - tailAt, tail.length - TRAILER_BYTES)
      : await file.readUnchecked({ offset, length: trailer.bytes })
  const indexSha256 = hash('sha256', text, 'hex')
  if (indexSha256 !== trailer.sha256) throw malformed("its index differs from the trailer's hash")
  if (expected.indexSha256 !== undefined && indexSha256 !== expected.indexSha256) {
    const reason = `${file.name} is another segment, or was changed: its index has another SHA-256`
    throw new SegmentError({ kind: 'lied', reason })
  }
  const index = parseIndex(text, offset)
  if (typeof index === 'string') throw malformed(index)
  refuseOther(file.name, index, expected)
  return { index, indexSha256, bytes }
}

function refuseOther(name: string, index: SegmentIndex, expected: ExpectedSegment): void {
  const { shard = index.shard } = expected
  const { first = index.first_position, end = index.end_position } = expected
  const isExpected =
    index.shard === shard && index.first_position === first && index.end_position === end
  if (isExpected) return
  const found = `${index.shard}/${index.first_position} to ${index.end_position - 1}`
  const reason = `${name} has ${found}, not ${shard}/${first} to ${end - 1}`
  throw new SegmentError({ kind: 'malformed', reason })
}
