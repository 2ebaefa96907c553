import fc from 'fast-check'
import { columnOf, count, members, mostly, packed } from './packed-columns.ts'

// The times, dimensions and measures of flushes: valid, nearly valid, or neither.

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

const otherNumber = (measure: string) => measure.replace(/^\[(0|255),/, '[1,')

const combinedMeasuresOf = (length: number) =>
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
export const combinedExtrasOf = (length: number) =>
  fc.oneof(
    { weight: 2, arbitrary: members({ counted_at: countedAt }) },
    fc
      .tuple(
        dimensions.map((names) => `"dimensions":${names}`),
        members({
          ...{ counted_at: countedAt, combinations, counted },
          combination: columnOf(length, fc.constantFrom(0, 1, 2, 2, 1, 0, 3)),
          measures: combinedMeasuresOf(length),
        }),
      )
      .map((parts) => parts.filter((part) => part !== '').join(',')),
  )

/** A list of `length` values, most often a valid one. */
const valuesOf = (length: number) =>
  mostly(
    [
      ['a', 'b', null, 'c', 'd'],
      ['200', null, 'a', 'b', 'null'],
      [null, 'a', 'a', 'b', 'b'],
    ].map((values) => JSON.stringify(values.slice(0, length))),
    [
      ...['["a","b"]', '["a"]', '[]', '["","b",null]', '["other"]', '["a",1,null]', '[null,null]'],
      ...['{}', 'null', '["\\ud800"]', `["${'😀'.repeat(64)}"]`, `["${'😀'.repeat(65)}"]`],
    ],
  )
const others = mostly(
  ['', '', ',[0]', ',[1]'],
  [
    ',[0,1]',
    ',[1,0]',
    ',[]',
    ',[3]',
    ',[-0]',
    ',[1.0]',
    ',[0.5]',
    ',["0"]',
    ',null',
    ',1',
    ',[0],0',
  ],
)

/** Numbers of values, most often each at most one more than all before. */
const numbersOf = (length: number) =>
  fc.array(fc.nat(3), { minLength: length, maxLength: length }).chain((steps) => {
    let seen = 0
    const numbers = steps.map((step) => {
      const number = Math.min(step, seen)
      seen = Math.max(seen, number + 1)
      return number
    })
    return fc.record({
      column: fc.oneof({ weight: 20, arbitrary: packed(numbers) }, packed(steps)),
      values: valuesOf(seen),
    })
  })

const dimensionsOf = (length: number) =>
  fc
    .tuple(numbersOf(length), others)
    .map(([{ column, values }, some]) =>
      column.startsWith('[') ? `${column.slice(0, -1)},${values}${some}]` : column,
    )
    .chain((one) =>
      mostly(
        ['{}', `{"model":${one}}`, `{"model":${one},"status":${one}}`],
        [
          ...[`{"status":${one},"model":${one}}`, `{"Model":${one}}`, '[]', 'null', '["model"]'],
          ...[`{"model":[],"model":${one}}`, `{"model":${one},"model":1}`],
        ],
      ),
    )

const hasValues = (column: string) => column.startsWith('[') && column !== '[]'

/** A measure in either form, of which one is valid. */
const measureOf = (length: number) =>
  fc.array(count, { minLength: length, maxLength: length }).chain((amounts) => {
    const entries = [...amounts.keys()].filter((i) => amounts[i] !== 0)
    const sparse = fc
      .tuple(
        packed(entries.map((i) => amounts[i]!)),
        mostly([String(entries.length)], ['9', '-1', '0.5', 'null']),
        fc.oneof({ weight: 9, arbitrary: packed(entries) }, packed(entries.toReversed())),
      )
      .map(([column, some, places]) =>
        hasValues(column) && hasValues(places)
          ? `${column.slice(0, -1)},${some},${places.slice(1)}`
          : column,
      )
    return entries.length * 2 < length ? sparse : fc.oneof(packed(amounts), sparse)
  })

const measuresOf = (length: number) =>
  fc
    .tuple(measureOf(length), mostly(['0', '255'], ['256', '-1', '1.5', '"0"']))
    .chain(([column, number]) => {
      const measure =
        column.startsWith('[') && column !== '[]' ? `[${number},${column.slice(1)}` : column
      return mostly(
        ['{}', `{"cost":${measure}}`, `{"cost":${measure},"tokens":${otherNumber(measure)}}`],
        [
          `{"cost":${measure},"tokens":${measure}}`,
          ...[`{"tokens":${measure},"cost":${measure}}`, `{"cost":${measure},"cost":${measure}}`],
          ...[`{"Cost":${measure}}`, '[]', 'null', `{"cost":[]}`, `{"7":${measure}}`],
        ],
      )
    })

/** The time, dimensions and measures of a flush with `length` entries. */
export const extrasOf = (length: number) =>
  members({
    counted_at: countedAt,
    dimensions: dimensionsOf(length),
    measures: measuresOf(length),
  })

const sequence = mostly(
  ['"e/0"', '"a.B_c-9/5-6"', '"e/5-5;last"', `"${'e'.repeat(64)}/9007199254740990;last"`],
  [
    ...['"e/6-5"', '"e/01"', '"e"', '"/1"', '"e/-1"', '"e/1;end"', '"e/1 "', '"e/1\\n"', '"é/1"'],
    ...[`"${'e'.repeat(65)}/1"`, '"e/9007199254740991"', '"e/1-9007199254740991"', 'null', '1'],
  ],
)

/** The sequence of a flush with `length` entries, and in some their dimensions and measures. */
export const numberedExtrasOf = (length: number) =>
  fc
    .tuple(members({ sequence }), fc.oneof(extrasOf(length), members({ counted_at: countedAt })))
    .map((parts) => parts.filter((part) => part !== '').join(','))
