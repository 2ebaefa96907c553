import fc from 'fast-check'
import { packedEvent } from './packed-events.ts'

export const number = fc.oneof(
  { weight: 8, arbitrary: fc.nat(3).map(String) },
  fc.constantFrom('9007199254740991', '9007199254740992', '9223372036854775808', '-0', '-1', '1.0'),
  fc.constantFrom(
    '1e2',
    '1e400',
    '0.5',
    '"1"',
    'null',
    'true',
    '[1]',
    '[]',
    '{}',
    '1e0',
    '253402300800',
  ),
)
const counts = (arbitrary: fc.Arbitrary<string> = number) =>
  fc.array(arbitrary, { minLength: 1, maxLength: 3 }).map((values) => `[${values.join(',')}]`)
const column = (arbitrary: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 30, arbitrary }, fc.constantFrom('[]', '[[]]', '[ 1 ]', '1', '{}', '"[1]"'))
const text = fc.constantFrom(
  '"a"',
  '"\\u00e9"',
  '"\\""',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '1',
  'null',
)
const flag = fc.constantFrom('true', 'false', 'null', '1', '"true"')

/** A flush of `columns`, most of them valid; a column may be missing or occur twice. */
const payload = (columns: Record<string, fc.Arbitrary<string>>) =>
  fc
    .tuple(
      ...Object.entries(columns).map(([name, arbitrary]) =>
        fc
          .oneof({ weight: 30, arbitrary: column(arbitrary) }, fc.constant(null))
          .map((value) => (value === null ? '' : `"${name}":${value}`)),
      ),
      fc.constantFrom('', '', '', '"more":"x"', '"ids":[1]', '"requests":[1]'),
    )
    .map((parts) => `{${parts.filter((part) => part !== '').join(',')}}`)

export const word = fc.constantFrom(
  '"a"',
  '"A"',
  '""',
  '"\\n"',
  '"\\u0000"',
  '"\\ud800"',
  '1',
  'null',
  '[]',
)
const long = fc.constantFrom(254, 255, 256).map((length) => `"${'a'.repeat(length)}"`)
const wide = fc.constantFrom(127, 128).map((length) => `"${'😀'.repeat(length)}"`)
const mostly = (value: fc.Arbitrary<string>, other = fc.oneof(word, number)) =>
  fc.oneof({ weight: 12, arbitrary: value }, other)

/** An object with members, most of them valid; each may be missing. */
export const members = (shape: Record<string, fc.Arbitrary<string | null>>) =>
  fc
    .tuple(
      ...Object.entries(shape).map(([name, arbitrary]) =>
        fc
          .oneof({ weight: 20, arbitrary }, fc.constant(null))
          .map((value) => (value === null ? '' : `"${name}":${value}`)),
      ),
    )
    .map((parts) => `{${parts.filter((part) => part !== '').join(',')}}`)

const place = mostly(fc.constantFrom('-1', '0', '41', '9007199254740991'))
const sum = mostly(
  fc.constantFrom('"0"', '"10"', '"-10"', `"${'9'.repeat(100)}"`),
  fc.oneof(fc.constantFrom('"01"', '"-0"', '"1 "', '"1\\n"', `"${'9'.repeat(101)}"`, '10'), word),
)
const table = members({
  table: mostly(fc.constantFrom('"api_key_counters"', `"${'t'.repeat(63)}"`)),
  position: place,
  from: mostly(
    fc.constantFrom('"2026-01-31T12:15:00.000000+00:00"', '"0000-99-99T99:45:00.000000+00:00"'),
    fc.oneof(fc.constantFrom('"2026-01-31T12:10:00.000000+00:00"', '"2026-01-31"'), word),
  ),
  after: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, place),
  rows: mostly(fc.constantFrom('0', '2')),
  sha256: mostly(
    fc.constant(`"${'0a'.repeat(32)}"`),
    fc.oneof(fc.constantFrom(`"${'0A'.repeat(32)}"`, `"${'0a'.repeat(31)}"`), word),
  ),
})
const serviceEvent = fc.oneof(
  fc.record({
    type: fc.constant('ProjectionAttested'),
    version: fc.constantFrom(1, 2, 3, 3, 4, 4, 5),
    payload: members({
      tables: mostly(fc.array(mostly(table), { maxLength: 2 }).map((all) => `[${all.join(',')}]`)),
      totals: mostly(members({ position: place, requests: sum, successes: sum })),
    }),
  }),
  fc.record({
    type: fc.constant('OriginChanged'),
    version: fc.constantFrom(1, 1, 1, 1, 2),
    payload: members({ origin: fc.oneof(word, long, wide), previous: fc.oneof(word, long) }),
  }),
  fc.record({
    type: fc.constant('ShardsChanged'),
    version: fc.constantFrom(1, 2, 2, 2, 2, 3),
    payload: members({
      shards: mostly(fc.constantFrom('1', '4', '0', '9007199254740991')),
      archive: mostly(
        members({
          manifest_sha256: mostly(fc.constant(`"${'0a'.repeat(32)}"`)),
          shards: mostly(fc.constantFrom('1', '2', '0')),
          events: mostly(fc.constantFrom('0', '41', '-1')),
          left_out: mostly(fc.constantFrom('0', '41')),
        }),
      ),
      previous: mostly(
        fc.array(fc.oneof(word, long), { maxLength: 2 }).map((all) => `[${all.join(',')}]`),
      ),
      reversals: fc.oneof(
        { weight: 3, arbitrary: fc.constant(null) },
        fc
          .array(mostly(fc.constantFrom('[17,"3/12"]', '[0,"0/0"]', '[1]', '[1,"00/1"]')), {
            maxLength: 2,
          })
          .map((all) => `[${all.join(',')}]`),
      ),
    }),
  }),
)

const externalId = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('"sk"', '"s k"', '"\\u200b"', '"\\u0085"') },
  ...[fc.constantFrom('" a"', '"a\\n"', '"\\u00a0a"', '"\\ufeff"', '"a\\u3000"'), word, long, wide],
)

/** A list of rows of the catalog with these groups. */
const row = (...groupIds: string[]) =>
  fc
    .array(
      members({
        id: mostly(fc.constantFrom('1', '2')),
        ...(groupIds.length > 0 ? { group_id: mostly(fc.constantFrom(...groupIds), number) } : {}),
        name: mostly(fc.constantFrom('null', '"n"')),
        external_id: fc.oneof(fc.constant(null), externalId),
      }),
      { maxLength: 2 },
    )
    .map((rows) => `[${rows.join(',')}]`)

const declared = mostly(
  fc.constantFrom('"model"', '"m_1"', `"${'m'.repeat(64)}"`),
  fc.oneof(fc.constantFrom('"Model"', '"1m"', '"m\\n"', `"${'m'.repeat(65)}"`), word),
)
const unit = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('"USD/1e6"', `"${'😀'.repeat(32)}"`) },
  fc.oneof(fc.constantFrom(`"${'u'.repeat(65)}"`, `"${'😀'.repeat(33)}"`), word),
)
const number31 = mostly(fc.constantFrom('0', '7', '255', '256'))

/** A list of dimensions, or of measures if their rows have more than a name. */
const declaredList = (shape: Record<string, fc.Arbitrary<string | null>> = {}) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(null) },
    mostly(
      fc
        .array(members({ name: declared, ...shape }), { maxLength: 2 })
        .map((rows) => `[${rows.join(',')}]`),
    ),
  )
const measureList = declaredList({
  number: number31,
  unit: fc.oneof(fc.constant(null), unit),
})

/** Provider groups have no group: a member that is not read must be valid in SQL. */
const grouped = row('1').filter((rows) => !/"group_id":"\\u/.test(rows))

const small = fc.constantFrom('0', '1', '2')
const group = fc.oneof({ weight: 9, arbitrary: fc.nat(3).map(String) }, fc.constant('null'), number)
/** An event that a reader of payloads meets: its payload is valid, nearly valid, or neither. */
export const storedEvent = fc.oneof(
  { weight: 3, arbitrary: packedEvent },
  serviceEvent,
  fc.record({
    type: fc.constant('ApiKeyStatsFlushed'),
    version: fc.constant(2),
    payload: payload({
      groups: counts(group),
      counts: counts(small),
      ids: counts(fc.oneof({ weight: 20, arbitrary: fc.constantFrom('1', '2') }, number)),
      requests: counts(),
      failing: fc.oneof({ weight: 1, arbitrary: fc.constant('[]') }, counts(small)),
      failures: fc.oneof({ weight: 1, arbitrary: fc.constant('[]') }, counts(small)),
    }),
  }),
  fc.record({
    type: fc.constant('ApiKeyStatsFlushed'),
    version: fc.constant(1),
    payload: payload({
      groups: counts(small),
      counts: counts(small),
      ids: counts(fc.constantFrom('1', '2')),
      requests: counts(fc.constantFrom('5', '6')),
      successes: counts(fc.constantFrom('0', '1', '-1', '5')),
    }),
  }),
  fc.record({
    type: fc.constant('ApiKeyStatsFlushed'),
    version: fc.constantFrom(3, 3, 3, 3, 4),
    payload: payload({
      groups: fc.constantFrom('[null]', '[1,null]', '[null,0]'),
      counts: counts(small),
      ids: counts(fc.constantFrom('0', '1', '2')),
      requests: counts(fc.constantFrom('5', '6')),
      failing: fc.constantFrom('[]', '[0]'),
      failures: fc.constantFrom('[]', '[1]'),
      named: counts(small),
      names: counts(fc.oneof({ weight: 9, arbitrary: fc.constantFrom('"sk"', '" "') }, text)),
    }),
  }),
  fc.record({
    type: fc.constant('CatalogChanged'),
    version: fc.constantFrom(1, 2, 2, 3, 3, 3, 4),
    payload: members({
      upserted: mostly(
        members({
          api_keys: fc.oneof(row('1'), row('0', '2')),
          dimensions: declaredList(),
          measures: measureList,
        }),
      ),
      ended: mostly(members({ provider_groups: fc.oneof(row(), grouped), measures: measureList })),
    }),
  }),
  fc.record({
    type: fc.constant('KeyStatsFlushed'),
    version: fc.constantFrom(1, 1, 1, 2),
    payload: payload({
      hashes: counts(text),
      requests: counts(),
      tokens: counts(),
      last_accessed_at: counts(),
      quota_tracked: counts(flag),
    }),
  }),
)
