import fc from 'fast-check'
import { pack } from '../../../src/events/packed.ts'

// Payloads with packed columns, as a reader of the log meets them: valid, nearly valid, or neither.

/** A column of these values, most often as an append packs it. */
function packed(values: readonly number[]): fc.Arbitrary<string> {
  const [bits, base64] = pack(values)
  const bytes = Buffer.from(base64, 'base64')
  const spare = Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) | 1])])
  const mostly = fc.constant(JSON.stringify([bits, base64]))
  return fc.oneof(
    { weight: 60, arbitrary: mostly },
    fc.constantFrom(
      JSON.stringify([bits + 1, base64]),
      JSON.stringify([bits, base64.replaceAll('=', '')]),
      JSON.stringify([bits, base64.replaceAll('+', '-').replaceAll('/', '_')]),
      JSON.stringify([bits, `${base64}\n`]),
      JSON.stringify([bits, spare.toString('base64')]),
      JSON.stringify([bits, `${base64}AAAA`]),
      JSON.stringify([String(bits), base64]),
      JSON.stringify([bits, base64, 0]),
      JSON.stringify(values),
      JSON.stringify(base64),
      `[${bits}.0,${JSON.stringify(base64)}]`,
      `[${bits}e0,${JSON.stringify(base64)}]`,
      ...[`[-0,""]`, `[0,""]`, `[54,""]`, `[1e400,""]`, `[1,"\\u0000"]`, 'null', '{}'],
    ),
  )
}

const MAX = Number.MAX_SAFE_INTEGER

/** A column of `length` values. */
const columnOf = (length: number, value: fc.Arbitrary<number>) =>
  fc.array(value, { minLength: length, maxLength: length }).chain(packed)

const count = fc.oneof(
  { weight: 9, arbitrary: fc.nat(5) },
  fc.constantFrom(2 ** 16, 2 ** 31, 2 ** 32, MAX),
)

/** Members, most of which are there. */
const members = (shape: Record<string, fc.Arbitrary<string | null>>) =>
  fc
    .tuple(
      ...Object.entries(shape).map(([name, arbitrary]) =>
        fc
          .oneof({ weight: 60, arbitrary }, fc.constant(null))
          .map((value) => (value === null ? '' : `"${name}":${value}`)),
      ),
    )
    .map((parts) => parts.filter((part) => part !== '').join(','))

const countedAt = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('1769860799', '1769860800', '1769861700', '0') },
  fc.constant(null),
  fc.constantFrom('-1', '1.5', '"1769860800"', 'null', '253402300799', '253402300800', '1e9'),
)

const dimensions = fc.oneof(
  { weight: 9, arbitrary: fc.constant('["model","status"]') },
  fc.constantFrom(
    'null',
    '["status","model"]',
    '["model","model"]',
    '["Model","status"]',
    '[1,2]',
    '{}',
  ),
)
const combinations = fc.oneof(
  { weight: 9, arbitrary: fc.constant('[["a","200"],["b",null],[null,null]]') },
  fc.constantFrom(
    ...['[["a","200"],["b",null],["",null]]', '[["a","200"],["b",null],["other",null]]'],
    ...['[["a"],["b"],["c"]]', '[["a","200"]]', '[]', '[["a","200"],["b",1],[null,null]]', '{}'],
    `[["a","200"],["b",null],["${'😀'.repeat(64)}","${'x'.repeat(64)}"]]`,
    `[["a","200"],["b",null],["${'😀'.repeat(65)}",null]]`,
    '[["a","200"],["b",null],["\\ud800",null]]',
  ),
)
const counted = fc.oneof(
  { weight: 9, arbitrary: fc.constant(null) },
  fc.constantFrom(
    ...['[["other","200"],["b",null],[null,null]]', '[["a","200"],["b",null],[null,null]]'],
    ...['[["a","200"],["b","other"],[null,null]]', '[["c","200"],["b",null],[null,null]]', '[]'],
    ...['null', '[["a","200"],["b",null],[null]]', '[["a","200"],[1,null],[null,null]]'],
  ),
)

const otherNumber = (measure: string) => measure.replace(/^\[0,/, '[1,')

const measuresOf = (length: number) =>
  fc
    .tuple(
      columnOf(length, count),
      fc.constantFrom('0', '0', '0', '255', '256', '-1', '1.5', '"0"'),
    )
    .chain(([column, number]) => {
      const isColumn = column.startsWith('[') && column !== '[]'
      const measure = isColumn ? `[${number},${column.slice(1)}` : column
      return fc.constantFrom(
        ...['{}', '{}', `{"cost":${measure}}`, `{"cost":${measure},"tokens":${measure}}`],
        ...[`{"cost":${measure},"tokens":${otherNumber(measure)}}`],
        ...[`{"tokens":${measure},"cost":${measure}}`, `{"cost":${measure},"cost":${measure}}`],
        ...[`{"Cost":${measure}}`, '[]', 'null', `{"cost":[]}`, `{"7":${measure}}`],
      )
    })

/**
 * The time of a flush with `length` entries, and in some their dimensions and measures. Members
 * that are not read, because there are no dimensions, must be valid in SQL.
 */
const extrasOf = (length: number) =>
  fc.oneof(
    { weight: 2, arbitrary: members({ counted_at: countedAt }) },
    fc
      .tuple(
        dimensions.map((names) => `"dimensions":${names}`),
        members({
          ...{ counted_at: countedAt, combinations, counted },
          combination: columnOf(length, fc.constantFrom(0, 1, 2, 2, 1, 0, 3)),
          measures: measuresOf(length),
        }),
      )
      .map((parts) => parts.filter((part) => part !== '').join(',')),
  )

const join = (parts: readonly string[]) => `{${parts.filter((part) => part !== '').join(',')}}`

const names = fc.constantFrom('"sk"', '" "', '""', '"\\u0000"', '1')

/** A run of `length` entries, most of which have no name. */
const namesOf = (length: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant('') },
    fc.tuple(fc.nat(length), names).map(([i, name]) => `"named":[${i}],"names":[${name}]`),
  )

const apiKeyFlush = fc.nat(3).chain((length) =>
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
      extrasOf(length),
    )
    .map(join),
)

const hash = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('"a"', '"é"', '"\\""') },
  fc.constantFrom('""', '"\\ud800"', '1'),
)

const keyFlush = fc.nat(3).chain((length) =>
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
      extrasOf(length),
    )
    .map(join),
)

/** A flush with packed columns. */
export const packedEvent = fc.oneof(
  fc.record({
    ...{ type: fc.constant('ApiKeyStatsFlushed'), version: fc.constant(4), payload: apiKeyFlush },
  }),
  fc.record({
    ...{ type: fc.constant('KeyStatsFlushed'), version: fc.constant(2), payload: keyFlush },
  }),
)
