import fc from 'fast-check'
import { members, number, word } from './stored-events.ts'

const mostly = (value: fc.Arbitrary<string>, other = fc.oneof(word, number)) =>
  fc.oneof({ weight: 60, arbitrary: value }, other)
const text = (...values: string[]) =>
  mostly(fc.constantFrom(...values.map((value) => JSON.stringify(value))))
/** A text that is valid, and rarely one that is not. */
const either = (valid: fc.Arbitrary<string>, other: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 20, arbitrary: valid }, other)
const optional = (value: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 3, arbitrary: value }, fc.constant(null))

const MAX = String(Number.MAX_SAFE_INTEGER)
const difference = either(
  fc.constantFrom('-5', '0', '6', `-${MAX}`, MAX, '-1.0'),
  fc.constantFrom('9007199254740992', '-9007199254740992', '0.5'),
)

/**
 * Columns of the same length, most of them; values of a column are mostly valid. `isDetailed` adds
 * combinations and measures.
 */
const columns = (shape: Record<string, fc.Arbitrary<string>>, isDetailed = false) =>
  fc.nat(3).chain((length) => {
    const columnOf = (value: fc.Arbitrary<string>) =>
      mostly(
        fc
          .array(mostly(value), { minLength: length, maxLength: length })
          .map((values) => `[${values.join(',')}]`),
        fc.constantFrom('[]', '[1]', '["a"]', '{}', 'null', '"[]"'),
      )
    const all: Record<string, fc.Arbitrary<string | null>> = Object.fromEntries(
      Object.entries(shape).map(([name, value]) => [name, columnOf(value)]),
    )
    if (isDetailed) {
      all.combination = columnOf(either(fc.constantFrom('0', '1', 'null'), fc.constant('2')))
      const measure = optional(columnOf(difference))
      const isBad = fc.constantFrom(...Array<null>(20).fill(null), '[]')
      all.measures = mostly(
        members({ 0: measure, 255: measure, '01': isBad, a: isBad, 256: isBad }),
      )
    }
    return members(all)
  })

const id = fc.constantFrom('1', '2')
const group = fc.constantFrom('0', '1', '2')
const count = fc.constantFrom('5', '6', '7', MAX, '5.0')
const less = fc.constantFrom('0', '1', '4', '-0')
const hash = fc.constantFrom('"a"', '"\\u00e9"', '"\\""')
const access = either(
  fc.constantFrom('0', '1700000000', '253402300799'),
  fc.constant('253402300800'),
)
const time = text(
  ...['2026-01-31T12:15:00.000000+00:00', '2026-01-31T12:29:59.999999+00:00'],
  ...['0001-01-01T00:00:00.000000+00:00', '9999-12-31T23:59:59.999999+00:00'],
)
const noTime = text(
  ...['2026-02-30T12:00:00.000000+00:00', '2026-01-31T24:00:00.000000+00:00'],
  ...['0000-01-01T00:00:00.000000+00:00', '2026-01-31T12:00:60.000000+00:00'],
  ...['2026-01-31T12:00:00.000000Z', '2026-01-31 12:00:00.000000+00:00'],
)
const when = either(time, noTime)
const reason = either(text('by hand', '\n', '😀'.repeat(500)), text('', 'a'.repeat(501)))

/** Only opening balances have last accesses; a member that is not read must be valid in SQL. */
const amounts = (
  first: fc.Arbitrary<string>,
  second: fc.Arbitrary<string>,
  accesses: fc.Arbitrary<string> = fc.constant('1700000000'),
  isDetailed = false,
) => ({
  provider_groups: optional(columns({ ids: id, requests: first, successes: second }, isDetailed)),
  api_keys: optional(columns({ ids: id, requests: first, successes: second }, isDetailed)),
  keys: optional(
    fc.oneof(
      columns({ hashes: hash, requests: first, tokens: second, quota_used: second }, isDetailed),
      columns(
        {
          ...{ hashes: hash, requests: first, tokens: second, quota_used: second },
          last_accessed_at: accesses,
        },
        isDetailed,
      ),
    ),
  ),
})

const unknown = (isDetailed: boolean) =>
  members({
    api_keys: optional(
      columns(
        { names: fc.constantFrom('"7"', '"ext:a"'), requests: count, successes: less },
        isDetailed,
      ),
    ),
    keys: optional(columns({ hashes: hash, requests: count, tokens: less }, isDetailed)),
  })

const flushes = fc.constantFrom('1', '2')
const combinations = either(
  fc.constantFrom(
    ...['["{}","{\\"model\\":\\"a\\"}"]', '["{\\"a\\":\\"\\\\n😀\\",\\"b\\":\\"other\\"}","{}"]'],
  ),
  fc.constantFrom(
    ...['[]', '[1,"{}"]', '{}', '["",""]', '["{ }","{}"]', '["[]","{}"]', '["{","{}"]'],
    ...['["{\\"a\\":1}","{}"]', '["{\\"a\\":\\"\\"}","{}"]', '["{\\"A\\":\\"x\\"}","{}"]'],
    ...['["{\\"b\\":\\"x\\",\\"a\\":\\"x\\"}","{}"]', '["{\\"a\\":\\"\\\\u0041\\"}","{}"]'],
  ),
)

const adoption = (isDetailed: boolean) =>
  members({
    ...(isDetailed ? { combinations: mostly(combinations) } : {}),
    heads: either(fc.constantFrom('[]', '[-1]', '[0,41]'), fc.constantFrom('[-2]', '["1"]')),
    until: when,
    api_keys: optional(
      columns(
        {
          ...{ ids: id, groups: group, times: fc.constant('"2026-01-31T12:15:00.000000+00:00"') },
          names: either(
            fc.constantFrom('"7"', '"ext:a"', '"ext: "'),
            fc.constantFrom('"07"', '"0"', '"ext:"', '"a"', '"12345678901234567"'),
          ),
          ...{ requests: count, successes: less, flushes },
        },
        isDetailed,
      ),
    ),
    keys: optional(
      columns(
        {
          ...{ hashes: hash, times: time, requests: count, tokens: count, quota_used: less },
          ...{ last_accessed_at: access, flushes },
        },
        isDetailed,
      ),
    ),
  })

const acts: Record<string, fc.Arbitrary<string>> = {
  BalancesOpened: members({
    as_of: when,
    origin: mostly(
      members({
        system: text('old', 'a'.repeat(255), '😀'.repeat(128)),
        note: mostly(fc.constantFrom('null', '""', '"moved"')),
      }),
    ),
    ...amounts(count, less, access),
  }),
  TotalsAdjusted: members({ reason, ...amounts(difference, difference) }),
  QuotaReset: members({
    at: when,
    through: either(text('0/41', '0/-1,12/3'), text('0/-2', '0/1,')),
    reason,
    keys: columns({
      hashes: fc.constant('"a"'),
      requests: fc.constant('0'),
      tokens: either(fc.constantFrom('0', '-0'), fc.constant('1')),
      quota_used: difference,
    }),
    api_keys: optional(columns({ ids: id, requests: count, successes: less })),
  }),
  UnknownKeysAdopted: adoption(false),
}

const reversal = (version: number) =>
  members({
    reversed: either(text('0/41', '9999/0'), text('00/1', '10000/0', '0/12345678901234567')),
    type: either(
      text('ApiKeyStatsFlushed', 'KeyStatsFlushed', 'TotalsAdjusted'),
      text('EventReversed', 'ApiKeyStatsFlushed '),
    ),
    at: when,
    reason,
    ...(version > 1 ? { unknown: optional(unknown(version === 3)) } : {}),
    ...(version === 3 ? { combinations: mostly(combinations) } : {}),
    ...amounts(difference, difference, undefined, version === 3),
  })

const stored = (type: string, version: number, payload: fc.Arbitrary<string>) =>
  fc.record({
    ...{ type: fc.constant(type), version: fc.constant(version) },
    payload: fc.oneof({ weight: 60, arbitrary: payload }, fc.constantFrom('[]', 'null', '1', '""')),
  })

/** An act as the log may hold it: its payload is valid, nearly valid, or neither. */
export const storedAct = fc.oneof(
  ...[1, 2, 2, 3, 3, 4].map((version) => stored('EventReversed', version, reversal(version))),
  ...[2, 2, 3].map((version) => stored('UnknownKeysAdopted', version, adoption(true))),
  ...Object.entries(acts).flatMap(([type, payload]) =>
    [1, 1, 1, 2].map((version) => stored(type, version, payload)),
  ),
)
