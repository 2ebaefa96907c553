import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { mayHave, pack, unpack } from '../../src/events/packed.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

// A packed column tells which values it may have without being unpacked.

const bits = fc.integer({ min: 1, max: 53 })
const columns = bits.chain((width) =>
  fc.array(fc.integer({ min: 0, max: 2 ** width - 1 }), { minLength: 1, maxLength: 60 }),
)
const values = fc.integer({ min: 1, max: 2 ** 24 - 1 })

test('it never denies a value that it has', () => {
  const property = fc.property(columns, (column) => {
    const packed = pack(column)
    expect(unpack(packed, column.length, 'ids')).toEqual(column)
    for (const value of column) {
      if (value > 0) expect(mayHave(...packed, value)).toBe(true)
    }
  })
  fc.assert(property, parametersOf(runsOf(200)))
})

test('of values of 24 bits it claims none that it does not have', () => {
  const property = fc.property(fc.array(values, { minLength: 1 }), values, (column, value) => {
    expect(mayHave(...pack(column), value)).toBe(column.includes(value))
  })
  fc.assert(property, parametersOf(runsOf(200)))
})

test('a column of zeros has no other value', () => {
  expect(mayHave(...pack([0, 0, 0]), 1)).toBe(false)
})
