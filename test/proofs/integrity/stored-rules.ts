import fc from 'fast-check'
import { members, number, word } from './stored-events.ts'

const mostly = (value: fc.Arbitrary<string>, other = fc.oneof(word, number)) =>
  fc.oneof({ weight: 40, arbitrary: value }, other)
const optional = (value: fc.Arbitrary<string>) =>
  fc.oneof(fc.constant(null), fc.constant(null), value)
const oneOf = (...texts: string[]) =>
  mostly(fc.constantFrom(...texts.map((text) => JSON.stringify(text))))

const name = mostly(
  fc.constantFrom('"fails"', '"r_1"', `"${'r'.repeat(64)}"`),
  fc.oneof(fc.constantFrom('"Fails"', '"1r"', '"r\\n"', `"${'r'.repeat(65)}"`), word),
)
const hash = mostly(fc.constantFrom('"a"', `"${'a'.repeat(255)}"`, `"${'😀'.repeat(127)}"`))
const integer = mostly(fc.constantFrom('1', '20', '100', '1.0', '9007199254740991', '1440', '1441'))

const rule = mostly(
  fc.oneof(
    members({
      name,
      kind: fc.constant('"success_rate"'),
      of: oneOf('provider_group', 'api_key', 'key'),
      id: integer,
      below: mostly(fc.constantFrom('0.95', '1', '1e-2', '5e-324', '0', '1.01', '1e-400')),
      minutes: integer,
      min_requests: integer,
    }),
    members({ name, kind: fc.constant('"quota"'), percent: integer, token_hash: optional(hash) }),
    members({ name, kind: fc.constant('"silent_source"'), source: optional(hash) }),
    members({ name, kind: oneOf('failed_verification', 'Quota', 'quota\n') }),
  ),
)
const rules = fc.oneof(
  fc.constant(null),
  mostly(fc.array(rule, { maxLength: 2 }).map((rows) => `[${rows.join(',')}]`)),
)

const time = oneOf(
  ...['2026-01-31T12:15:00.000000+00:00', '0001-01-01T00:00:00.000000+00:00'],
  ...['2026-02-30T12:00:00.000000+00:00', '2026-01-31T12:00:00Z'],
)
const positions = oneOf('0/41', '0/-1,1/7', '0/41,', '00/1', '0/12345678901234567')
const value = mostly(
  fc.constantFrom('{}', '{"requests":120,"success_requests":80}', '{"problems":-1}', '{"A":1}'),
)

/** The members of both types of events. One that is not read would have to be valid in SQL. */
const seen = {
  rule,
  subject: mostly(
    members({
      kind: oneOf('provider_group', 'api_key', 'key', 'source', 'log', 'rule'),
      id: mostly(fc.constantFrom('"1"', '""', `"${'a'.repeat(256)}"`)),
    }),
  ),
  value,
  at: time,
  from: optional(positions),
  through: positions,
}

/** A change of the catalog with rules, or an event of a rule: valid, nearly valid, or neither. */
export const storedRule = fc.oneof(
  fc.record({
    type: fc.constant('CatalogChanged'),
    version: fc.constantFrom(3, 4, 4, 4, 4, 5),
    payload: members({
      upserted: mostly(members({ rules })),
      ended: mostly(members({ rules })),
    }),
  }),
  fc.record({
    type: fc.constant('RuleCrossed'),
    version: fc.constantFrom(1, 1, 1, 1, 1, 2),
    payload: members(seen),
  }),
  fc.record({
    type: fc.constant('RuleCleared'),
    version: fc.constantFrom(1, 1, 1, 1, 1, 2),
    payload: members({
      ...seen,
      crossed_at: time,
      why: oneOf('recovered', 'unwatched', 'over'),
    }),
  }),
)
