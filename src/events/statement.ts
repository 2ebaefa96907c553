import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { isStorable, PayloadError } from './columns.ts'

// Service events: what the service itself states in the log. They count nothing, and auditors hold
// the service to them.

/** The types of service events. */
export const SERVICE_EVENT_TYPES = ['ProjectionAttested', 'OriginChanged', 'ShardsChanged'] as const

/** The source of service events; no token can have this name. */
export const SERVICE_SOURCE = 'tallybook'

const Position = Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER })
/** A position in the log, `<shard>/<position>`, without leading zeros. */
export const PLACE = '^(?:0|[1-9][0-9]{0,3})/(?:0|[1-9][0-9]{0,15})$'
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
/**
 * Decimal digits, as a sum may be larger than JSON parsers keep exact. The sum of one shard may be
 * negative: a reversal is in shard 0, wherever the reversed flush is.
 */
const Sum = Type.String({ pattern: '^(?:0|-?[1-9][0-9]{0,99})$' })

/** Start of a 15-minute bucket, `2026-01-31T12:15:00.000000+00:00`. */
const BUCKET_START = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:(?:00|15|30|45):00\\.000000\\+00:00$'

/**
 * Payload of `ProjectionAttested`, version 4: digests (see digest.ts) of this shard's rows in each
 * projection table, folded through `position` and no further. `totals` are the sums over the
 * shard's provider groups.
 *
 *     {"tables":[{"table":"api_key_counters","position":41,"rows":2,"sha256":"a2c1…"}],
 *      "totals":{"position":41,"requests":"10","successes":"9"}}
 *
 * In version 1, the last access of a key is the time that was posted, even if it is far in the
 * future. Since version 2 it is bounded (see `latestAccess`). Before version 3 there was no
 * backdated usage. Version 3 is written until a dimension or a measure is declared, so that
 * instances of a release before them can read it.
 */
export const Attestation = Type.Object({
  tables: Type.Array(
    Type.Object({
      table: Type.String({ pattern: '^[a-z_]{1,63}$' }),
      position: Position,
      /** For usage tables: only buckets from this one on are included. */
      from: Type.Optional(Type.String({ pattern: BUCKET_START })),
      /** For backdated tables: only what was recorded after this position is included. */
      after: Type.Optional(Position),
      rows: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      sha256: Sha256,
    }),
  ),
  totals: Type.Object({ position: Position, requests: Sum, successes: Sum }),
})
export type Attestation = Static<typeof Attestation>

/**
 * Payload of `OriginChanged`, version 1: from here on, the tree of this shard is signed under
 * `origin`. Before, it was signed under the origin of the note `previous`, the last tree head
 * signed there. If this log doesn't have the tree of that head, events were lost.
 *
 *     {"origin":"stats.example.com/2/audit/log/0","previous":"stats.example.com/audit/log/0\n…"}
 */
export const OriginChange = Type.Object({
  origin: Type.String({ minLength: 1, maxLength: 255 }),
  previous: Type.String({ minLength: 1 }),
})
export type OriginChange = Static<typeof OriginChange>

const Shards = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/**
 * Payload of `ShardsChanged`, version 2: the events of this shard before this one were resharded to
 * `shards` shards from the archive whose manifest has that hash. Of the archive's `events`,
 * `left_out` were skipped: service events about the archived log. `previous` lists the archive's
 * last signed tree heads, as notes in the order of its shards. The head of old shard s is listed on
 * new shard s mod `shards`, so each head is listed exactly once.
 *
 * Reversals name positions of the log in which they were recorded. So shard 0 lists, by the
 * position of each reversal in it, where the event that it reverses is now. Version 1 had no list.
 *
 *     {"shards":4,"archive":{"manifest_sha256":"a2c1…","shards":1,"events":70000,"left_out":3},
 *      "previous":["stats.example.com/audit/log/0\n70000\nCsUY…"],"reversals":[[17,"3/12"]]}
 */
export const ShardsChange = Type.Object({
  shards: Shards,
  archive: Type.Object({
    manifest_sha256: Sha256,
    shards: Shards,
    events: Count,
    left_out: Count,
  }),
  previous: Type.Array(Type.String({ minLength: 1 })),
  reversals: Type.Optional(Type.Array(Type.Tuple([Position, Type.String({ pattern: PLACE })]))),
})
export type ShardsChange = Static<typeof ShardsChange>

/** The idempotency key of a `ShardsChanged` event: a shard has at most one. */
export const SHARDS_CHANGED_KEY = 'shards changed'

/** Reads a stored payload. Throws PayloadError if the service could not have written it. */
export const decodeAttestation = reader(Attestation, () => [])

/** Like `decodeAttestation`. */
export const decodeOriginChange = reader(OriginChange, ({ origin, previous }) => [origin, previous])

/** Like `decodeAttestation`. */
export const decodeShardsChange = reader(ShardsChange, ({ previous }) => previous)

function reader<Schema extends TSchema>(
  schema: Schema,
  textsOf: (value: Static<Schema>) => string[],
): (payload: unknown) => Static<Schema> {
  const check = TypeCompiler.Compile(schema)
  return (payload) => {
    if (check.Check(payload)) {
      if (textsOf(payload).every(isStorable)) return payload
      throw new PayloadError('a text holds a NUL or a lone surrogate')
    }
    const error = check.Errors(payload).First()
    throw new PayloadError(`${error?.path ?? ''} ${error?.message ?? 'not as written'}`.trim())
  }
}
