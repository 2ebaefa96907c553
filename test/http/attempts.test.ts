import { describe, expect, test } from 'bun:test'
import { networkOf, UnknownTokenLimiter } from '../../src/http/unknown-tokens.ts'

// Clients that guess tokens are slowed down, and no others are refused.

const STRONG = 'x'.repeat(32)
const WEAK = 'x'.repeat(31)

function guess(limiter: UnknownTokenLimiter, address: string, times: number): void {
  for (let i = 0; i < times; i++) limiter.recordFailure(address)
}

test('an address is blocked after the maximum of failures, and no other address is', () => {
  const limiter = new UnknownTokenLimiter(3)
  guess(limiter, '10.0.0.1', 2)
  expect(limiter.isBlocked('10.0.0.1')).toBe(false)
  guess(limiter, '10.0.0.1', 1)
  expect(limiter.isBlocked('10.0.0.1')).toBe(true)
  expect(limiter.isBlocked('10.0.0.2')).toBe(false)
})

test('many addresses together are blocked although none alone is', () => {
  const limiter = new UnknownTokenLimiter(3)
  for (let i = 0; i < 300; i++) guess(limiter, `10.0.${i >> 8}.${i & 255}`, 1)
  expect(limiter.isBlocked('192.168.0.1')).toBe(true)
})

test('a token too long to guess is trusted at once, a short one after it was accepted', () => {
  const limiter = new UnknownTokenLimiter(3)
  expect(limiter.isTrusted('a', STRONG)).toBe(true)
  expect(limiter.isTrusted('b', WEAK)).toBe(false)
  limiter.trust('b')
  expect(limiter.isTrusted('b', WEAK)).toBe(true)
})

describe('the network of an address', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1'],
    ['2001:db8::5', '2001:db8:0:0'],
    ['2001:0db8::', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['', ''],
  ])('%p is in the network %p', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
