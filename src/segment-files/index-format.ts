import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { parseHash } from '../proofs/merkle/hash.ts'
import { subtreesOf } from '../proofs/merkle/tree.ts'

/** Version of the file of a segment. A reader refuses any other. */
export const FORMAT_VERSION = 1

/** The first bytes of a file. */
export const FIRST_LINE = Buffer.from('tallybook-segment 1\n')

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Base64 = Type.String({ maxLength: 44 })
const strict = { additionalProperties: false }

const place = {
  /** Where the compressed bytes begin in the file, how many they are, and their hash. */
  offset: Count,
  bytes: Count,
  sha256: Sha256,
  /** How many bytes they are without compression. */
  plain_bytes: Count,
}

const Block = Type.Object(
  {
    first_position: Count,
    events: Count,
    first_recorded_at: Type.String(),
    last_recorded_at: Type.String(),
    ...place,
  },
  strict,
)

const SegmentIndex = Type.Object(
  {
    format: Type.Literal('tallybook-segment'),
    format_version: Type.Literal(FORMAT_VERSION),
    shard: Count,
    first_position: Count,
    /** The position after the last event. */
    end_position: Count,
    /** The origin of the log's tree heads, or null if it is not signed. */
    origin: Type.Union([Type.String(), Type.Null()]),
    /** The number of events of each type. */
    types: Type.Record(Type.String(), Count),
    tree: Type.Object(
      {
        /** Roots of the complete subtrees before the first position, left to right. */
        peaks: Type.Array(Base64, { maxItems: 53 }),
        /** The root of the tree that ends with the last event. */
        root: Base64,
      },
      strict,
    ),
    /** A signed tree head, and the proof that its tree begins with the one of `tree.root`. */
    signed_head: Type.Optional(
      Type.Object(
        {
          note: Type.String({ maxLength: 1_000_000 }),
          proof: Type.Array(Base64, { maxItems: 128 }),
        },
        strict,
      ),
    ),
    /** The texts that blocks share; null if there are none. */
    dictionary: Type.Union([Type.Object({ texts: Count, ...place }, strict), Type.Null()]),
    blocks: Type.Array(Block, { minItems: 1 }),
  },
  strict,
)

/** The description of a segment: whose it is, and where in the file its events are. */
export type SegmentIndex = Static<typeof SegmentIndex>
/** The place of consecutive events in a file. */
export type BlockEntry = Static<typeof Block>
/** The place of compressed bytes in a file. */
export type Place = Pick<BlockEntry, keyof typeof place>

/** Formats an index as in the file. */
export const formatIndex = (index: SegmentIndex): Buffer => Buffer.from(JSON.stringify(index))

const check = TypeCompiler.Compile(SegmentIndex)

/** Parses the index that begins at `offset` of a file. Returns a sentence if it is not one. */
export function parseIndex(bytes: Buffer, offset: number): SegmentIndex | string {
  let index: unknown
  try {
    index = JSON.parse(decoder.decode(bytes))
  } catch {
    return 'it is not JSON'
  }
  if (!check.Check(index)) {
    const error = check.Errors(index).First()
    return `${error?.path || '/'}: ${error?.message ?? 'not an index'}`
  }
  return findContradiction(index, offset) ?? index
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Blocks follow each other, in the log and in the file, from its first line to the index. */
function findContradiction(index: SegmentIndex, indexOffset: number): string | null {
  let position = index.first_position
  let offset = FIRST_LINE.length
  let recordedAt = ''
  for (const [i, block] of index.blocks.entries()) {
    if (block.offset !== offset || block.bytes === 0) return `block ${i} is not where it should be`
    if (block.first_position !== position || block.events === 0) {
      return `block ${i} does not continue the one before`
    }
    if (block.first_recorded_at < recordedAt || block.last_recorded_at < block.first_recorded_at) {
      return `block ${i} is not in the order of time`
    }
    offset += block.bytes
    position += block.events
    recordedAt = block.last_recorded_at
  }
  if (index.dictionary !== null) {
    if (index.dictionary.offset !== offset) return 'the dictionary is not where it should be'
    offset += index.dictionary.bytes
  }
  if (offset !== indexOffset) return 'it does not cover the whole file'
  if (position !== index.end_position) return 'end_position differs from that of its blocks'
  const counts = Object.values(index.types).reduce((sum, count) => sum + count, 0)
  if (counts !== position - index.first_position) return 'types do not add up'
  return findTreeProblem(index)
}

function findTreeProblem({ tree, signed_head, first_position }: SegmentIndex): string | null {
  const hashes = [...tree.peaks, tree.root, ...(signed_head?.proof ?? [])]
  if (hashes.some((hash) => parseHash(hash) === null)) return 'a hash is malformed'
  const peaks = subtreesOf({ from: 0, to: first_position }).length
  return tree.peaks.length === peaks ? null : 'the tree has another number of peaks'
}

/** Bytes of a trailer. */
export const TRAILER_BYTES = 94

/** Bytes of an index at most: those of a million blocks. */
export const MAX_INDEX_BYTES = 256 * 1024 * 1024

/**
 * Formats the last line of a file: the length of the index before it, and its SHA-256. It has
 * always the same length:
 *
 *     tallybook-index 000000230113 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 */
export const formatTrailer = (bytes: number, sha256: string): Buffer =>
  Buffer.from(`tallybook-index ${String(bytes).padStart(12, '0')} ${sha256}\n`)

/** Parses a trailer. Returns null if it is not one. */
export function parseTrailer(bytes: Buffer): { bytes: number; sha256: string } | null {
  const match = /^tallybook-index (\d{12}) ([0-9a-f]{64})\n$/.exec(bytes.toString('latin1'))
  const [, length, sha256] = match ?? []
  if (length === undefined || sha256 === undefined) return null
  return Number(length) > MAX_INDEX_BYTES ? null : { bytes: Number(length), sha256 }
}
