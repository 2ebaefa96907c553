import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { isStorable, PayloadError } from './columns.ts'

// What the service itself says in the log. It counts nothing; outsiders hold the service to it.

/** The types of events that are statements. */
export const SERVICE_EVENT_TYPES = ['ProjectionAttested', 'OriginChanged', 'ShardsChanged'] as const

/** The source of events that nobody posted; no token bears that name. */
export const SERVICE_SOURCE = 'tallybook'

const Position = Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER })
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** Decimal digits: a sum may be above what JSON's readers keep exact. */
const Sum = Type.String({ pattern: '^(?:0|[1-9][0-9]{0,99})$' })

/** Start of a quarter of an hour, `2026-01-31T12:15:00.000000+00:00`. */
const QUARTER = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:(?:00|15|30|45):00\\.000000\\+00:00$'

/**
 * Payload of `ProjectionAttested`, version 2: what the rows of this shard were in each table of the
 * projections, folded up to `position` and no further; the digest is that of digest.ts. `totals`
 * are the sums over the shard's provider groups.
 *
 *     {"tables":[{"table":"api_key_counters","position":41,"rows":2,"sha256":"a2c1…"}],
 *      "totals":{"position":41,"requests":"10","successes":"9"}}
 *
 * In version 1 the last access of a key was what had been posted, however far in the future.
 */
export const Attestation = Type.Object({
  tables: Type.Array(
    Type.Object({
      table: Type.String({ pattern: '^[a-z_]{1,63}$' }),
      position: Position,
      /** Of usage: only what was counted in quarters from this one on. */
      from: Type.Optional(Type.String({ pattern: QUARTER })),
      rows: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      sha256: Sha256,
    }),
  ),
  totals: Type.Object({ position: Position, requests: Sum, successes: Sum }),
})
export type Attestation = Static<typeof Attestation>

/**
 * Payload of `OriginChanged`, version 1: the tree of this shard is signed as `origin` from here on,
 * and was before it under the origin of the note `previous`, which is the last tree head that was
 * signed there. Where that can't be found in this log, events were lost.
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
 * Payload of `ShardsChanged`, version 1: the events of this shard before this one were dealt to
 * `shards` shards from an archive, whose manifest has that hash; `left_out` of its `events` were
 * statements about the log that it is of, and were not. `previous` are the last tree heads that
 * were signed there, as notes, in the order of its shards: of the first, and every `shards`th after
 * it, on shard 0; of the second on shard 1. So each is cited once.
 *
 *     {"shards":4,"archive":{"manifest_sha256":"a2c1…","shards":1,"events":70000,"left_out":3},
 *      "previous":["stats.example.com/audit/log/0\n70000\nCsUY…"]}
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
})
export type ShardsChange = Static<typeof ShardsChange>

/** The idempotency key of a `ShardsChanged`: a shard has one at most. */
export const SHARDS_CHANGED_KEY = 'shards changed'

/** Reads a stored payload; throws PayloadError where the service could not have written it. */
export const decodeAttestation = reader(Attestation, () => [])

/** As `decodeAttestation`. */
export const decodeOriginChange = reader(OriginChange, ({ origin, previous }) => [origin, previous])

/** As `decodeAttestation`. */
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
