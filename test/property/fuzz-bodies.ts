import fc from 'fast-check'
import { flushText, stringText } from './arbitraries.ts'
import type { Kind } from './naive-body.ts'

/** A POST of a flush, as bytes. */
export type FuzzedFlush = {
  kind: Kind
  bytes: Uint8Array<ArrayBuffer>
  contentType: string | null
  /** True to send it in chunks, without Content-Length. */
  chunked: boolean
  /** A number stands for a valid idempotency key; a string is sent as it is. */
  idempotencyKey: number | string | null
}

const ids = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 1, max: 8 }).map(String) },
  fc.constantFrom('0', '9007199254740991', '9007199254740990', '1.0', '2e0'),
)
const hashes = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('"k1"', '" k1"', '"k2\\t"', '"\\u006b3"', '"ü\\\\\\""') },
  stringText,
)

const kind = fc.constantFrom<Kind>('api-keys', 'keys')

/** UTF-8 in which some bytes are replaced, inserted or removed. */
const mangled = (text: fc.Arbitrary<string>) =>
  fc
    .record({ text, at: fc.nat(200), bytes: fc.uint8Array({ maxLength: 4 }), cut: fc.nat(3) })
    .map(({ text, at, bytes, cut }) => {
      const whole = Buffer.from(text)
      const start = at % (whole.length + 1)
      return new Uint8Array([...whole.subarray(0, start), ...bytes, ...whole.subarray(start + cut)])
    })

const toBytes = (text: string) => new Uint8Array(Buffer.from(text))

const bytesOf = (kind: Kind) => {
  const text = flushText(kind, kind === 'keys' ? hashes : ids)
  return fc.oneof(
    { weight: 10, arbitrary: text.map(toBytes) },
    { weight: 2, arbitrary: mangled(text) },
    { weight: 1, arbitrary: text.map((text) => toBytes(`\ufeff${text}`)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  )
}

export const fuzzedFlush: fc.Arbitrary<FuzzedFlush> = kind.chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    bytes: bytesOf(kind).map((bytes) => new Uint8Array(bytes)),
    contentType: fc.constantFrom(
      ...[
        'application/json',
        null,
        'text/plain',
        'multipart/form-data',
        'application/json;;=',
        ',',
      ],
      ...['multipart/form-data; boundary=', 'application/x-www-form-urlencoded', 'x'.repeat(2_000)],
    ),
    chunked: fc.boolean(),
    idempotencyKey: fc.oneof(
      { weight: 6, arbitrary: fc.constant(null) },
      { weight: 3, arbitrary: fc.nat(200) },
      fc.constantFrom('', 'a b', 'é', '\t', 'x'.repeat(256), "'; drop table events; --", ',', '"'),
    ),
  }),
)

const name = fc.oneof({ weight: 6, arbitrary: fc.constantFrom('null', '""', '"n"') }, stringText)
const junk = fc.oneof(stringText, fc.json({ maxDepth: 1 }))
const mostly = (value: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 25, arbitrary: value }, { weight: 1, arbitrary: junk })

/** The external ids that flushes use (see `flushText`). */
const externalIds = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('"e1"', '"e2"', '"e3"', '"e4"', '"e5"', 'null') },
  stringText,
)

/** A row without an id: its external id, and maybe a name. */
const nameless = fc
  .tuple(externalIds, mostly(name))
  .map(([external_id, name]) => `{"external_id":${external_id},"name":${name}}`)

const row = (id: string, ids: fc.Arbitrary<string>, more: Record<string, fc.Arbitrary<string>>) => {
  const fields = { [id]: ids, name, ...more }
  const field = fc
    .constantFrom(...Object.keys(fields))
    .chain((name) => mostly(fields[name]!).map((value) => `"${name}":${value}`))
  return fc
    .tuple(
      mostly(ids),
      fc.uniqueArray(field, { maxLength: 3, selector: (text) => text.split(':')[0] }),
    )
    .map(([value, more]) => `{${[`"${id}":${value}`, ...more].join(', ')}}`)
}

/** A dimension, or a measure if it may have a unit. */
const declared = (unit: fc.Arbitrary<string>) =>
  fc
    .tuple(
      mostly(fc.constantFrom('"a"', '"b_1"', '"c"', `"${'d'.repeat(64)}"`, `"${'e'.repeat(65)}"`)),
      unit,
    )
    .map(([name, unit]) => `{"name":${name}${unit}}`)
const units = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('null', '""', '"USD"', `"${'u'.repeat(64)}"`) },
  fc.oneof(fc.constant(`"${'u'.repeat(65)}"`), stringText),
)

const lists = {
  provider_groups: fc.oneof(row('id', ids, { external_id: externalIds }), nameless),
  api_keys: fc.oneof(
    {
      weight: 4,
      arbitrary: row('id', ids, {
        group_id: fc.constantFrom('0', '1', '2', '9', 'null', '9007199254740991'),
      }),
    },
    { weight: 2, arbitrary: row('id', ids, { external_id: externalIds }) },
    { weight: 1, arbitrary: nameless },
  ),
  keys: row('token_hash', hashes, {
    quota_limit: fc.constantFrom('-1', '0', '1000', 'null', '-2', '9007199254740991'),
  }),
  dimensions: declared(fc.constantFrom('', '', '', '', ',"name":"f"', ',"unit":"USD"')),
  measures: declared(
    fc.oneof(
      fc.constant(''),
      units.map((unit) => `,"unit":${unit}`),
    ),
  ),
}

const LISTS = Object.keys(lists) as (keyof typeof lists)[]

/** The body of PUT /admin/catalog: valid, nearly valid, or not valid at all. */
export const fuzzedCatalog: fc.Arbitrary<string> = mostly(
  fc
    .uniqueArray(fc.constantFrom(...LISTS), { maxLength: 3 })
    .chain((names) =>
      fc.tuple(
        ...names.map((name) =>
          mostly(fc.array(lists[name], { maxLength: 3 }).map((rows) => `[${rows.join(',')}]`)).map(
            (list) => `"${name}":${list}`,
          ),
        ),
      ),
    )
    .map((fields) => `{${fields.join(',')}}`),
)
