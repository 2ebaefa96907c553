import fc from 'fast-check'
import { columnOf, count, MAX, members } from './packed-columns.ts'
import { combinedExtrasOf, extrasOf, numberedExtrasOf } from './packed-details.ts'

// Payloads with packed columns, as a reader of the log meets them: valid, nearly valid, or neither.

const join = (parts: readonly string[]) => `{${parts.filter((part) => part !== '').join(',')}}`

const names = fc.constantFrom('"sk"', '" "', '""', '"\\u0000"', '1')

/** A run of `length` entries, most of which have no name. */
const namesOf = (length: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant('') },
    fc.tuple(fc.nat(length), names).map(([i, name]) => `"named":[${i}],"names":[${name}]`),
  )

/** A flush of API keys with what `extras` returns for its entries. */
const apiKeyFlushWith = (extras: typeof extrasOf) =>
  fc.nat(5).chain((length) =>
    fc
      .tuple(
        members({
          groups: fc.oneof(
            { weight: 9, arbitrary: fc.constantFrom('[1]', '[1]', '[null]', '[0]') },
            fc.constantFrom('[1,null]', '[-1]', '1'),
          ),
          counts: fc.oneof(
            { weight: 20, arbitrary: fc.constant(`[${length}]`) },
            fc.constantFrom(`[${length},0]`, `[${length + 1}]`, `[${MAX}]`, '[1.5]', '[]'),
          ),
          ids: columnOf(length, fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, 2) }, count)),
          requests: columnOf(length, count),
          failures: columnOf(length, fc.constantFrom(0, 0, 0, 1)),
        }),
        namesOf(length),
        extras(length),
      )
      .map(join),
  )

const hash = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('"a"', '"é"', '"\\""') },
  fc.constantFrom('""', '"\\ud800"', '1'),
)

const keyFlushWith = (extras: typeof extrasOf) =>
  fc.nat(5).chain((length) =>
    fc
      .tuple(
        members({
          hashes: fc
            .array(hash, { minLength: length, maxLength: length })
            .map((hashes) => `[${hashes.join(',')}]`),
          requests: columnOf(length, count),
          tokens: columnOf(length, count),
          last_accessed_at: columnOf(
            length,
            fc.constantFrom(0, 0, 1_700_000_000, 1_700_000_000, 253_402_300_799, 253_402_300_800),
          ),
          quota_tracked: columnOf(length, fc.constantFrom(0, 1, 2, 1, 2, 0, 1, 2, 3)),
        }),
        extras(length),
      )
      .map(join),
  )

/** A flush with packed columns. */
export const packedEvent = fc.oneof(
  ...[
    { type: 'ApiKeyStatsFlushed', version: 4, payload: apiKeyFlushWith(combinedExtrasOf) },
    { type: 'ApiKeyStatsFlushed', version: 5, payload: apiKeyFlushWith(extrasOf) },
    { type: 'ApiKeyStatsFlushed', version: 6, payload: apiKeyFlushWith(numberedExtrasOf) },
    { type: 'KeyStatsFlushed', version: 2, payload: keyFlushWith(combinedExtrasOf) },
    { type: 'KeyStatsFlushed', version: 3, payload: keyFlushWith(extrasOf) },
    { type: 'KeyStatsFlushed', version: 4, payload: keyFlushWith(numberedExtrasOf) },
  ].map(({ type, version, payload }) =>
    fc.record({ type: fc.constant(type), version: fc.constant(version), payload }),
  ),
)
