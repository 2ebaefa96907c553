import { describe, expect, test } from 'bun:test'
import { PayloadError } from '../../src/events/columns.ts'
import { decodeEvent, postingsOf } from '../../src/events/event.ts'

// Payloads of acts that only the owner of a database can write: what can't be folded can't be read.

const decode = (type: string, payload: object) => decodeEvent(type, 1, JSON.stringify(payload))

describe('an act can not be read', () => {
  const until = (time: string) => () => decode('UnknownKeysAdopted', { heads: [0], until: time })

  test.each([
    '2026-02-30T12:00:00.000000+00:00',
    '2026-01-31T24:00:00.000000+00:00',
    '2026-01-31T12:00:60.000000+00:00',
    '0000-01-01T00:00:00.000000+00:00',
    '2026-01-31T12:00:00Z',
  ])('with the time %s', (time) => {
    expect(until(time)).toThrow(PayloadError)
  })

  test.each([[1], ['a'], [null], [[]], [{}]])('with the keys %p', (keys) => {
    expect(() => decode('TotalsAdjusted', { reason: 'by hand', keys })).toThrow(PayloadError)
  })

  test('only for its time', () => {
    for (const time of ['0001-01-01T00:00:00.000000+00:00', '9999-12-31T23:59:59.999999+00:00'])
      expect(until(time)()).toMatchObject({ data: { until: time } })
  })
})

test('an adjustment changes no last access', () => {
  const keys = { hashes: ['a'], requests: [1], tokens: [1], quota_used: [1], last_accessed_at: [9] }
  const adjusted = decode('TotalsAdjusted', { reason: 'by hand', keys })
  expect(postingsOf(adjusted, '2026-01-31T12:00:00.000000+00:00')[0]!.maxima).toEqual([[0]])
})
