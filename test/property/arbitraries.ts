import fc from 'fast-check'
import type { Kind } from './naive-body.ts'

/** Small counts, so that they collide, and the largest that a body may contain. */
export const count: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3) },
  { weight: 3, arbitrary: fc.nat(1_000) },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER) },
)

/** A JSON field that is sometimes null or left out. */
export const sometimes = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof(
    { weight: 8, arbitrary: value },
    { weight: 1, arbitrary: fc.constantFrom(null, undefined) },
  )

/** Names of an API key: an id and an external id, of which one may be absent. */
export type KeyNames = { api_key_id?: number | null; api_key?: string | null }

/**
 * An entry that is accepted, as JSON; its key is one of `keys`. An API key may have an object of
 * names instead of an id.
 */
export function goodEntry<Key>(kind: Kind, keys: fc.Arbitrary<Key>): fc.Arbitrary<object | null> {
  const entry: fc.Arbitrary<object | null> =
    kind === 'api-keys'
      ? fc
          .record({ key: keys, requests: sometimes(count), success: sometimes(count) })
          .map(({ key, requests, success }) => ({
            ...(typeof key === 'object' ? key : { api_key_id: key }),
            requests,
            success_requests: success && Math.min(success, requests ?? 0),
          }))
      : fc.record({
          token_hash: keys,
          requests: sometimes(count),
          tokens: sometimes(count),
          last_accessed_at: sometimes(
            // All in the past: a future time is bounded by the time of recording.
            fc.oneof(fc.nat(3), fc.integer({ min: 1.7e9, max: 1.79e9 })),
          ),
        })
  return fc.oneof(
    { weight: 12, arbitrary: entry },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        null,
        {},
        kind === 'keys' ? { token_hash: ' \t' } : { api_key_id: 0, api_key: ' ' },
      ),
    },
  )
}

const numberText = fc.oneof(
  { weight: 4, arbitrary: count.map(String) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...['-1', '-0', '1.0', '1.5', '1e3', '1E+2', '1e-7', '9007199254740991', '9007199254740992'],
      ...['-9007199254740991', '-9007199254740992', '9223372036854775807', '1e309', '253402300799'],
      ...['253402300800', '01', '+1', '.5', '1.', '0x1', 'NaN', 'Infinity', '1_0'],
    ),
  },
)

/** String literals: SQL, white space that not every language trims, NUL, lone surrogates. */
export const stringText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    ...['""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00x"', '"\\ud83d\\ude00"'],
    ...['"\\ufeffk1 "', '"\\u0085"', '"\\u00a0k2"', '"\\u2028"', '"\\ufffd"', '"\\n\\tk1\\r"'],
    ...[`"'; drop table events; --"`, '"{\\"a\\",null}"', '"$1"', '"%00"', '"\\\\"', '"__proto__"'],
    ...['"\\q"', '"a\nb"', '"unended', `'x'`],
  ),
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => JSON.stringify(text)),
)

const junkText = fc.oneof(
  numberText,
  stringText,
  fc.constantFrom('null', 'true', 'false', '[]', '{}', '[[]]', '[1]', '{"a":{"b":[]}}', ''),
  fc.json({ maxDepth: 2 }),
)

/** An object literal; a name may occur twice. */
const objectText = (fields: fc.Arbitrary<[string, string]>, maxLength = 4) =>
  fc
    .array(fields, { maxLength })
    .map((pairs) => `{${pairs.map(([name, value]) => `"${name}":${value}`).join(' ,\n')}}`)

/** `values`, and occasionally something else. */
const mostly = (values: fc.Arbitrary<string>, others = junkText, weight = 20) =>
  fc.oneof({ weight, arbitrary: values }, { weight: 1, arbitrary: others })

/** External ids, as JSON. */
const apiKeyTexts = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('"e1"', '" e2"', '"e3\\t"', '"e4"', '"\\u00655"') },
  { weight: 2, arbitrary: fc.constantFrom('null', '""', '" "') },
  stringText,
)

/** The time that a flush states: most are accepted. */
const timeText = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .constantFrom(0, 60, 86_400, 34 * 86_400, -240, 36 * 86_400, -900)
      .map((ageS) => String(Math.floor(Date.now() / 1_000) - ageS)),
  },
  { weight: 1, arbitrary: fc.constant('null') },
  { weight: 2, arbitrary: numberText },
)

/** The text of a flush's body: valid, nearly valid, or not valid at all. */
export function flushText(kind: Kind, keys: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const numbers =
    kind === 'keys'
      ? ['requests', 'tokens', 'last_accessed_at']
      : ['requests', 'success_requests', 'success_requests']
  const key = kind === 'keys' ? mostly(keys, fc.oneof(stringText, junkText), 4) : mostly(keys)
  const name = kind === 'keys' ? 'token_hash' : 'api_key_id'
  const good = goodEntry(kind, fc.constant('\u0001')).chain((entry) =>
    fc.tuple(keys, apiKeyTexts, fc.nat(3)).map(([text, apiKey, way]) => {
      const one = kind === 'keys' || way > 1 ? text : `${way === 0 ? 0 : text},"api_key":${apiKey}`
      return JSON.stringify(entry).replace('"\\u0001"', one)
    }),
  )
  const near = objectText(
    fc.oneof(
      fc.tuple(fc.constantFrom(name, name, 'extra', 'constructor', '__proto__'), key),
      fc.tuple(fc.constantFrom('api_key'), mostly(apiKeyTexts, junkText, 4)),
      fc.tuple(fc.constantFrom(...numbers), mostly(numberText)),
    ),
    5,
  )
  const entries = fc
    .array(mostly(fc.oneof({ weight: 3, arbitrary: good }, near)), { maxLength: 6 })
    .map((texts) => `[${texts.join(', ')}]`)
  const body = objectText(
    fc.oneof(
      { weight: 9, arbitrary: fc.tuple(fc.constantFrom('keys', '\\u006beys'), entries) },
      {
        weight: 2,
        arbitrary: fc.tuple(fc.constantFrom('keys', 'Keys', '__proto__', ''), junkText),
      },
      { weight: 3, arbitrary: fc.tuple(fc.constantFrom('counted_at'), mostly(timeText)) },
    ),
    3,
  )
  const time = fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    mostly(timeText).map((text) => `"counted_at":${text},`),
  )
  const whole = fc.tuple(time, entries).map(([text, list]) => `{${text}"keys":${list}}`)
  return mostly(
    fc.oneof({ weight: 4, arbitrary: whole }, { weight: 2, arbitrary: body }),
    fc.oneof(
      junkText,
      fc.tuple(whole, junkText).map(([text, more]) => text + more),
      fc.tuple(whole, fc.nat(60)).map(([text, end]) => text.slice(0, end)),
      fc.integer({ min: 1, max: 20_000 }).map((depth) => `{"keys":[],"x":${nested(depth)}}`),
    ),
    8,
  )
}

/** `[[[]]]` */
export const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
