import { describe, expect, test } from 'bun:test'
import { networkOf, UnknownTokenLimiter } from '../../src/http/unknown-tokens.ts'

// Who guesses tokens is slowed down, and nobody else is kept out.

const STRONG = 'x'.repeat(32)
const WEAK = 'x'.repeat(31)

function guess(attempts: UnknownTokenLimiter, address: string, times: number): void {
  for (let i = 0; i < times; i++) attempts.recordFailure(address)
}

test('an address is blocked after as many failures as the limit, and no other is', () => {
  const attempts = new UnknownTokenLimiter(3)
  guess(attempts, '10.0.0.1', 2)
  expect(attempts.isBlocked('10.0.0.1')).toBe(false)
  guess(attempts, '10.0.0.1', 1)
  expect(attempts.isBlocked('10.0.0.1')).toBe(true)
  expect(attempts.isBlocked('10.0.0.2')).toBe(false)
})

test('many addresses together are blocked, though none of them alone is', () => {
  const attempts = new UnknownTokenLimiter(3)
  for (let i = 0; i < 300; i++) guess(attempts, `10.0.${i >> 8}.${i & 255}`, 1)
  expect(attempts.isBlocked('192.168.0.1')).toBe(true)
})

test('a token that can not be guessed is trusted unseen, a short one once it was seen', () => {
  const attempts = new UnknownTokenLimiter(3)
  expect(attempts.isTrusted('a', STRONG)).toBe(true)
  expect(attempts.isTrusted('b', WEAK)).toBe(false)
  attempts.trust('b')
  expect(attempts.isTrusted('b', WEAK)).toBe(true)
})

describe('a network is', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1'],
    ['2001:db8::5', '2001:db8:0:0'],
    ['2001:0db8::', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['', ''],
  ])('of %p %p', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
