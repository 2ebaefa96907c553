import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { readRecords } from '../../src/collect/body.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

const A = { id: 'a', text: 'x } { \\ " \n' }
const B = { id: 'b', inner: { list: [1, { c: ']' }] } }
const [a, b] = [A, B].map((one) => JSON.stringify(one)) as [string, string]

test.each([
  ['an array', `[${a},${b}]`],
  ['lines', `${a}\n${b}\n`],
  ['lines of Windows with empty ones', `\r\n${a}\r\n\r\n${b}`],
  ['objects without a separator', `${a}${b}`],
  ['objects over several lines', JSON.stringify(A, null, 2) + JSON.stringify(B, null, 2)],
  ['an array with null', `[null,${a},${b},null]`],
  ['lines in which a shipper put the record', `{"log":${JSON.stringify(a)},"id":"no"}\n${b}`],
])('%s is read as records', (_, text) => {
  expect(readRecords(text)).toMatchObject([A, B])
})

test.each([
  ['a broken line', `${a}\n{"id":\n${b}`],
  ['a line that is no JSON', `${a}\nhello\n${b}`],
  ['a string that does not end', `${a}\n{"id":"x\n${b}`],
])('%s is one unreadable record', (_, text) => {
  expect(readRecords(text)).toEqual([A, undefined, B])
})

test('a single object is one record, and an empty body none', () => {
  expect(readRecords(a)).toEqual([A])
  expect(readRecords(' \n')).toEqual([])
  expect(readRecords('[]')).toEqual([])
})

test('records are found whatever is in them and between them', () => {
  const records = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 2 })
  const separator = fc.constantFrom('', '\n', ' ', '\r\n\n')
  const property = fc.property(records, separator, (all, between) => {
    const texts = all.map((one) => JSON.stringify({ ...one, log: 0, message: 0 }))
    expect(readRecords(texts.join(between))).toEqual(texts.map((text) => JSON.parse(text)))
  })
  fc.assert(property, parametersOf(runsOf(200)))
})
