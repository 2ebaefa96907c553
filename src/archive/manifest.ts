import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'

/** Version of the folder's layout, the manifest and the lines. A reader refuses any other. */
export const FORMAT_VERSION = 1

/** The manifest's file, and the file with its SHA-256 (for `sha256sum -c`). */
export const MANIFEST = 'manifest.json'
export const MANIFEST_SHA256 = 'manifest.json.sha256'

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** Decimal digits: a sum may exceed the integers that JSON readers keep exact. */
const Sum = Type.String({ pattern: '^(?:0|[1-9][0-9]*)$', maxLength: 64 })
const strict = { additionalProperties: false }

/** A part: events at consecutive positions of a shard. */
const Part = Type.Object(
  {
    file: Type.String(),
    first_position: Count,
    last_position: Count,
    events: Count,
    /** Length of the compressed file; `sha256` is its hash. */
    bytes: Count,
    sha256: Sha256,
  },
  strict,
)

const Shard = Type.Object(
  {
    shard: Count,
    /** This and the next three are null if the shard has no events. */
    first_position: Type.Union([Count, Type.Null()]),
    last_position: Type.Union([Count, Type.Null()]),
    first_recorded_at: Type.Union([Type.String(), Type.Null()]),
    last_recorded_at: Type.Union([Type.String(), Type.Null()]),
    events: Count,
    /** The number of events of each type. */
    types: Type.Record(Type.String(), Count),
    parts: Type.Array(Part),
  },
  strict,
)

const SignedHeadFile = Type.Object(
  {
    file: Type.String({ pattern: '^transparency/(?:keys|heads/(?:0|[1-9][0-9]{0,3}))$' }),
    bytes: Count,
    sha256: Sha256,
  },
  strict,
)

const Totals = Type.Object(
  {
    api_key_flushes: Type.Object({ entries: Sum, requests: Sum, successes: Sum }, strict),
    key_flushes: Type.Object({ entries: Sum, requests: Sum, tokens: Sum }, strict),
    /** Events that can't be decoded, so that no projection can fold them. */
    unreadable_events: Count,
  },
  strict,
)

const Manifest = Type.Object(
  {
    format: Type.Literal('tallybook-archive'),
    format_version: Type.Literal(FORMAT_VERSION),
    made_at: Type.String(),
    tallybook_version: Type.String(),
    events: Count,
    shards: Type.Array(Shard, { minItems: 1, maxItems: 1_024 }),
    totals: Totals,
    /** The files with the verifier keys and signed tree heads, if the log is signed. */
    signed_heads: Type.Optional(Type.Array(SignedHeadFile, { maxItems: 1_025 })),
  },
  strict,
)

/** The description of an archive: its files and counts. */
export type Manifest = Static<typeof Manifest>
/** The description of a shard. */
export type ShardManifest = Static<typeof Shard>
/** The description of a part. */
export type PartManifest = Static<typeof Part>
/** The sums of all flushes, whether their keys were known or not. */
export type Totals = Static<typeof Totals>

/** Returns a part's file, `shard-0/part-00002.ndjson.gz`, relative to the archive's folder. */
export function partFile(shard: number, index: number): string {
  return `shard-${shard}/part-${String(index).padStart(5, '0')}.ndjson.gz`
}

/** Formats a manifest as in its file. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

const check = TypeCompiler.Compile(Manifest)

/** Parses a manifest. Returns a sentence if it is not one or contradicts itself. */
export function parseManifest(text: string): Manifest | string {
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch {
    return 'it is not JSON'
  }
  if (!check.Check(manifest)) {
    const error = check.Errors(manifest).First()
    return `${error?.path || '/'}: ${error?.message ?? 'not a manifest'}`
  }
  return findContradiction(manifest) ?? manifest
}

function findContradiction({ shards, events }: Manifest): string | null {
  let sum = 0
  for (const [i, shard] of shards.entries()) {
    if (shard.shard !== i) return `shard ${i} is missing`
    let next = 0
    for (const [index, part] of shard.parts.entries()) {
      if (part.file !== partFile(i, index)) return `${part.file} is not the expected name`
      const follows = part.first_position === next && part.events > 0
      next += part.events
      if (!follows || part.last_position !== next - 1)
        return `${part.file} does not continue the previous part`
    }
    const ends = [next === 0 ? null : 0, next === 0 ? null : next - 1]
    if (shard.first_position !== ends[0] || shard.last_position !== ends[1]) {
      return `the positions of shard ${i} differ from those of its parts`
    }
    if (shard.events !== next) return `the events of shard ${i} differ from those of its parts`
    sum += next
  }
  return sum === events ? null : 'its number of events differs from that of its shards'
}
