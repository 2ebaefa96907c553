import { expect, test } from 'bun:test'
import { Webhook } from 'standardwebhooks'
import { delayAfter } from '../../src/webhooks/backoff.ts'
import { makeSecret, sign } from '../../src/webhooks/signature.ts'

// Signatures are those of Standard Webhooks, as its library verifies them.

const body = '{"type":"rule.crossed","text":"é😀"}'

const headersOf = (secrets: readonly string[], at = new Date()) => {
  const timestamp = Math.floor(at.getTime() / 1_000)
  const id = 'evt_0_41_1c0f3a5e9b7d'
  const signature = sign(secrets, { id, timestamp, body })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signature,
  }
}
const verify = (secret: string, headers: Record<string, string>, text = body) =>
  new Webhook(secret).verify(text, headers)

test('a signature is that of the example of the specification', () => {
  // https://github.com/standard-webhooks/standard-webhooks
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const signed = {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestamp: 1614265330,
    body: '{"test": 2432232314}',
  }
  expect(sign([secret], signed)).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('the library verifies it, by either secret while there are two, and by no other', () => {
  const [former, secret] = [makeSecret(), makeSecret()]
  const headers = headersOf([secret, former])
  expect(verify(secret, headers)).toEqual(JSON.parse(body))
  expect(verify(former, headers)).toEqual(JSON.parse(body))
  expect(() => verify(makeSecret(), headers)).toThrow()
  expect(() => verify(secret, headers, body.replace('crossed', 'cleared'))).toThrow()
  expect(() => verify(secret, { ...headers, 'webhook-id': 'evt_0_42' })).toThrow()
  expect(() => verify(secret, headersOf([secret], new Date(Date.now() - 3_600_000)))).toThrow()
})

test('attempts are spread over about a day, and end', () => {
  const delays = Array.from({ length: 11 }, (_, i) => delayAfter(i + 1, 0.5))
  expect(delays[10]).toBeNull()
  const seconds = delays.slice(0, 10).reduce<number>((sum, delay) => sum + delay!, 0)
  expect(seconds / 3_600).toBeCloseTo(23.7, 1)
  expect([delayAfter(1, 0), delayAfter(1, 1)]).toEqual([4, 6])
})
