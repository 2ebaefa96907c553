import { describe, expect, test } from 'bun:test'
import { Clients, parseNetworks } from '../../src/http/clients.ts'

const clients = new Clients(parseNetworks('10.0.0.0/8, 2001:db8:1::/48,127.0.0.1'))

/** A request from `peer` with these headers. */
const from = (peer: string, headers: Record<string, string>) => ({
  request: new Request('http://localhost/', { headers }),
  server: { requestIP: () => ({ address: peer }) },
})

const addressOf = (peer: string, forwardedFor: string | null, forwarded: string | null = null) =>
  clients.addressOf(
    from(peer, {
      ...(forwardedFor !== null && { 'x-forwarded-for': forwardedFor }),
      ...(forwarded !== null && { forwarded }),
    }),
  )

test('without trusted proxies no header is believed', () => {
  const context = from('10.0.0.1', {
    'x-forwarded-for': '192.0.2.1',
    'x-forwarded-proto': 'https',
    forwarded: 'for=192.0.2.1;proto=https',
  })
  expect(new Clients().addressOf(context)).toBe('10.0.0.1')
  expect(new Clients().isSecure(context)).toBe(false)
})

describe('the client of a request', () => {
  test.each([
    ['192.0.2.9', '192.0.2.1', '192.0.2.9', 'of someone who is no proxy'],
    ['10.0.0.1', '192.0.2.1', '192.0.2.1', 'of a proxy'],
    ['::ffff:10.0.0.1', '192.0.2.1', '192.0.2.1', 'of a proxy on a socket for IPv6'],
    ['2001:db8:1::7', '2001:db8:2::1', '2001:db8:2::1', 'of a proxy with IPv6'],
    ['10.0.0.1', '192.0.2.1, 10.0.0.9', '192.0.2.1', 'of two proxies'],
    ['10.0.0.1', '8.8.8.8, 192.0.2.1, 10.0.0.9', '192.0.2.1', 'that writes an address itself'],
    ['10.0.0.1', '10.0.0.8,10.0.0.9', '10.0.0.8', 'that is a proxy itself'],
    ['10.0.0.1', '192.0.2.1:4711', '192.0.2.1', 'with its port'],
    ['10.0.0.1', '[2001:db8:2::1]:4711', '2001:db8:2::1', 'with IPv6 and its port'],
    ['10.0.0.1', '2001:db8:2::1%eth0', '2001:db8:2::1', 'with a zone'],
    ['10.0.0.1', '192.0.2.1, unknown', '10.0.0.1', 'that the last proxy does not know'],
    ['10.0.0.1', 'unknown, 192.0.2.1', '192.0.2.1', 'that names nobody before it'],
    ['10.0.0.1', '', '10.0.0.1', 'with an empty header'],
    ['10.0.0.1', ' , ', '10.0.0.1', 'with commas only'],
    ['10.0.0.1', '999.0.2.1', '10.0.0.1', 'with an invalid address'],
    ['', '192.0.2.1', '', 'of a socket without addresses'],
  ])('of %s with X-Forwarded-For: %s is %s', (peer, header, client) => {
    expect(addressOf(peer, header)).toBe(client)
  })

  test.each([
    ['for=192.0.2.1', '192.0.2.1'],
    ['For="[2001:db8:2::1]:4711";proto=https;by=10.0.0.1', '2001:db8:2::1'],
    ['proto=http; for=192.0.2.1;by=10.0.0.1', '192.0.2.1'],
    ['for=8.8.8.8, for=192.0.2.1, for=10.0.0.9', '192.0.2.1'],
    ['for="x, for="192.0.2.1"', '192.0.2.1'],
    ['for=_hidden', '10.0.0.1'],
    ['by=192.0.2.1', '10.0.0.1'],
    ['forfor=192.0.2.1', '10.0.0.1'],
    ['', '10.0.0.1'],
  ])('with Forwarded: %s is %s', (header, client) => {
    expect(addressOf('10.0.0.1', null, header)).toBe(client)
  })

  test('is the proxy if the two headers differ, one of which the client has written', () => {
    expect(addressOf('10.0.0.1', '192.0.2.1', 'for=8.8.8.8')).toBe('10.0.0.1')
    expect(addressOf('10.0.0.1', '8.8.8.8', 'for=192.0.2.1')).toBe('10.0.0.1')
    expect(addressOf('10.0.0.1', '192.0.2.1', 'for=192.0.2.1')).toBe('192.0.2.1')
  })
})

test('HTTPS is believed of browsers and of trusted proxies', () => {
  const isSecure = (peer: string, headers: Record<string, string>) =>
    clients.isSecure(from(peer, headers))
  expect(isSecure('192.0.2.1', { origin: 'https://stats.example.com' })).toBe(true)
  for (const [peer, isBelieved] of [
    ['10.0.0.1', true],
    ['192.0.2.1', false],
  ] as const) {
    expect(isSecure(peer, { 'x-forwarded-proto': 'https' })).toBe(isBelieved)
    expect(isSecure(peer, { forwarded: 'for=192.0.2.1;proto=https' })).toBe(isBelieved)
    expect(isSecure(peer, { 'x-forwarded-proto': 'http' })).toBe(false)
    expect(isSecure(peer, { 'x-forwarded-proto': 'httpsx' })).toBe(false)
    expect(isSecure(peer, {})).toBe(false)
  }
})

test.each(['', ',', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0/8', 'proxy', '10.0.0.0/8/8', '::/129'])(
  '%p are no networks',
  (text) => {
    expect(parseNetworks(text)).toBe(null)
  },
)
