import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PayloadError } from '../../src/events/columns.ts'
import { decodeEvent, postingsOf, versionOf } from '../../src/events/event.ts'
import { unknownOf } from '../../src/events/unknown.ts'

// The payloads of adoptions, and of reversals that withdraw entries for unknown keys.

const docs = readFileSync(join(import.meta.dir, '../../docs/reference/log-format.md'), 'utf8')
const AT = '2026-01-31T12:30:00.000000+00:00'

/** Returns the example of the documentation that begins with a member. */
const exampleWith = (pattern: RegExp) =>
  [...docs.matchAll(/```json\n(.*)\n```/g)]
    .map(([, text]) => text!)
    .find((text) => pattern.test(text))!

const ADOPTION = exampleWith(/^\{"heads".*"api_keys":\{"ids":\[7\],/)
const DETAILED = exampleWith(/^\{"heads".*"combinations"/)
const REVERSAL = exampleWith(/"unknown"/)

const decode = (type: string, version: number, text: string) =>
  decodeEvent(type, version, Buffer.from(text))

test('the documented adoption counts for the key, its group and the token key', () => {
  const event = decode('UnknownKeysAdopted', 1, ADOPTION)
  expect(JSON.stringify(event.data)).toBe(ADOPTION)
  const countedAt = '2026-01-31T12:15:00.000000+00:00'
  expect(postingsOf(event, AT)).toMatchObject([
    { kind: 'api_key', accounts: [7], sums: [[5], [4]], countedAt },
    { kind: 'provider_group', accounts: [1], sums: [[5], [4]], countedAt },
    { kind: 'key', accounts: ['3f08…'], sums: [[1], [10], [10]], maxima: [[1_700_000_000]] },
  ])
  expect(unknownOf(event, AT)).toMatchObject([
    { kind: 'api_key', names: ['ext:sk-9f'], requests: [5], flushes: [2], groups: [1] },
    { kind: 'key', names: ['3f08…'], requests: [1], flushes: [1], tracked: [true] },
  ])
})

test('the documented adoption of version 2 counts the measures of the rows that have some', () => {
  const event = decode('UnknownKeysAdopted', 2, DETAILED)
  expect(versionOf(event)).toBe(2)
  expect(event.data as object).toEqual(JSON.parse(DETAILED))
  const combinations = ['{"model":"gpt-5"}']
  const details = { combinations, combination: [0], measures: [{ number: 0, values: [1_200] }] }
  expect(postingsOf(event, AT)).toEqual(
    (['api_key', 'provider_group'] as const).flatMap((kind) => {
      const row = { ...{ kind, maxima: [], start: 0, end: 1, isSigned: true } }
      const accounts = [kind === 'api_key' ? 7 : 1]
      const countedAt = '2026-01-31T12:15:00.000000+00:00'
      return [
        { ...row, accounts, countedAt, sums: [[3], [2]], details },
        { ...row, accounts, countedAt, sums: [[2], [2]] },
      ]
    }),
  )
  expect(unknownOf(event, AT)).toMatchObject([
    { names: ['ext:sk-9f', 'ext:sk-9f'], details: { combinations, combination: [null, 0] } },
  ])
  for (const [from, to] of [
    ['"combination":[null,0]', '"combination":[null,1]'],
    ['"measures":{"0":[0,1200]}', '"measures":{"0":[0,-1]}'],
    ['"measures":{"0":[0,1200]}', '"measures":{"256":[0,1]}'],
    ['"combinations":["{\\"model\\":\\"gpt-5\\"}"],', ''],
  ] as const) {
    const text = DETAILED.replace(from, to)
    expect(text).not.toBe(DETAILED)
    expect(() => decode('UnknownKeysAdopted', 2, text)).toThrow(PayloadError)
  }
})

test('the documented reversal withdraws one flush of the unknown key, and counts its amounts', () => {
  const event = decode('EventReversed', 2, REVERSAL)
  expect(versionOf(event)).toBe(2)
  expect(JSON.stringify(event.data)).toBe(REVERSAL)
  expect(postingsOf(event, AT)).toMatchObject([{ kind: 'api_key', accounts: [7] }])
  expect(unknownOf(event, AT)).toMatchObject([
    { names: ['ext:sk-9f'], requests: [1], flushes: [1] },
  ])
})

test('a name with several rows is one flush', () => {
  const rows = '{"names":["7","8","7"],"requests":[9007199254740991,1,1],"successes":[0,0,0]}'
  const text = REVERSAL.replace(/"unknown":.*$/, `"unknown":{"api_keys":${rows}}}`)
  expect(unknownOf(decode('EventReversed', 2, text), AT)[0]!.flushes).toEqual([1, 1, 0])
})

describe('nothing is counted of an adoption', () => {
  test.each([
    ['without heads', /"heads":\[41,7\],/, ''],
    ['with a head below -1', '[41,7]', '[41,-2]'],
    ['without the time of its heads', /"until":"[^"]*",/, ''],
    ['with columns of different lengths', '"ids":[7]', '"ids":[7,8]'],
    ['with a negative amount', '"requests":[5]', '"requests":[-5]'],
    ['with more successes than requests', '"successes":[4]', '"successes":[6]'],
    ['with an empty name', '"ext:sk-9f"', '""'],
    ['with a bucket that is no time', '"times":["2026-01-31T12:15', '"times":["2026-01-31 12:15'],
    ['with an id of 0', '"ids":[7]', '"ids":[0]'],
  ])('%s', (_, from, to) => {
    const text = ADOPTION.replace(from, to)
    expect(text).not.toBe(ADOPTION)
    expect(() => decode('UnknownKeysAdopted', 1, text)).toThrow(PayloadError)
  })

  test('whose buckets are not in order', () => {
    const text = JSON.stringify({
      ...JSON.parse(ADOPTION),
      keys: undefined,
      api_keys: {
        ...{ ids: [7, 7], groups: [0, 0], names: ['7', '7'] },
        times: ['2026-01-31T12:15:00.000000+00:00', '2026-01-31T12:00:00.000000+00:00'],
        ...{ requests: [1, 1], successes: [0, 0], flushes: [1, 1] },
      },
    })
    expect(() => decode('UnknownKeysAdopted', 1, text)).toThrow(PayloadError)
  })
})

test('a reversal of version 2 has to withdraw something that is well-formed', () => {
  for (const unknown of [
    'null',
    '7',
    '{"api_keys":{"names":[""],"requests":[1],"successes":[1]}}',
  ]) {
    const text = REVERSAL.replace(/"unknown":.*$/, `"unknown":${unknown}}`)
    expect(() => decode('EventReversed', 2, text)).toThrow(PayloadError)
  }
})
