import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { BlockError, MAX_WIDTH } from './numbers.ts'

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

const Width = Type.Integer({ minimum: 0, maximum: MAX_WIDTH })

/** See the type of this name. */
const EventTemplate = Type.Tuple([
  Type.String(),
  Type.Integer({ minimum: 0, maximum: 2 ** 15 - 1 }),
  Type.String(),
  Type.Boolean(),
  Type.String(),
])

const BlockHeader = Type.Object(
  {
    events: Count,
    /** Characters of all payloads. */
    characters: Count,
    /** When the first event was recorded, in microseconds since 1970. */
    time: Count,
    templates: Type.Array(EventTemplate),
    /** The idempotency keys of the events that have one. */
    keys: Type.Array(Type.String()),
    /** Texts of this block, besides those of the segment's dictionary. */
    texts: Type.Array(Type.String()),
    /** Each column's name, how many numbers it has, and the bytes of its largest. */
    columns: Type.Array(Type.Tuple([Type.String(), Count, Width])),
  },
  { additionalProperties: false },
)

/** What events have in common: type, version, source, whether there is a key, payload. */
export type EventTemplate = Static<typeof EventTemplate>
/** The first line of a block: all of its text, and a list of the columns that follow. */
export type BlockHeader = Static<typeof BlockHeader>

const check = TypeCompiler.Compile(BlockHeader)

const NEWLINE = 0x0a

/** Reads the header of a block, and the bytes after it. Throws BlockError if there is none. */
export function readHeader(plain: Buffer): { header: BlockHeader; columns: Buffer } {
  const end = plain.indexOf(NEWLINE)
  let header: unknown = null
  try {
    header = JSON.parse(decoder.decode(plain.subarray(0, Math.max(end, 0))))
  } catch {
    throw new BlockError('it does not begin with a line of JSON')
  }
  if (!check.Check(header)) throw new BlockError('its first line is not the header of a block')
  return { header, columns: plain.subarray(end + 1) }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
