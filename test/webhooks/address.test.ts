import { describe, expect, test } from 'bun:test'
import { parseNetworks } from '../../src/http/clients.ts'
import { findAddresses, isAllowed, isPublic } from '../../src/webhooks/address.ts'

// A webhook reaches no network of the service, however its address is written.

const find = (url: string, networks: string | null = null) =>
  findAddresses(new URL(url), networks === null ? null : parseNetworks(networks))

const PRIVATE = [
  ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254'],
  ...['172.16.0.1', '172.31.255.255', '192.0.0.8', '192.0.2.1', '192.88.99.1', '192.168.1.1'],
  ...['198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1'],
  ...['255.255.255.255', '::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd00:ec2::254'],
  ...['ff02::1', '2001:db8::1', '3fff::1', '100::1', 'fec0::1', '5f00::1'],
  // An address of IPv4 in one of IPv6: mapped, compatible, NAT64, 6to4, Teredo.
  ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:0a00:1', '::7f00:1', '::ffff:0:127.0.0.1'],
  ...['64:ff9b::7f00:1', '64:ff9b:1::a00:1', '2002:7f00:1::', '2001:0:7f00:1::'],
  // No address at all.
  ...['', 'localhost', '127.1', '2130706433', '0x7f.1'],
]

test.each(PRIVATE)('%s is not public', (address) => {
  expect(isPublic(address)).toBe(false)
})

test.each([
  ...['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'],
  ...['128.0.0.0', '169.253.255.255', '172.15.255.255', '172.32.0.0', '192.167.255.255'],
  ...['198.17.255.255', '198.20.0.0', '223.255.255.255', '2606:4700::1111', '2a00:1450::1'],
])('%s is public', (address) => {
  expect(isPublic(address)).toBe(true)
})

describe('a host', () => {
  test.each([
    ...['127.0.0.1', '127.1', '2130706433', '0x7f000001', '0x7f.1', '017700000001', '0177.0.0.1'],
    ...['127.0.0.1.', '①②⑦.⓪.⓪.①', '0', 'localhost', 'LOCALHOST', 'localhost.', '[::1]'],
    ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:7f00:0001]', '[::]'],
    ...['169.254.169.254', '0xa9fea9fe', '[fd00:ec2::254]', '10.0.0.1', '[64:ff9b::a00:1]'],
  ])('written as %s is refused', async (host) => {
    const found = await find(`https://${host}/`)
    expect(['address refused', 'host unknown']).toContain('error' in found ? found.error : '')
  })

  test('that does not exist is unknown', async () => {
    expect(await find('https://nothing.invalid/')).toEqual({ error: 'host unknown' })
  })

  test('that is public needs HTTPS', async () => {
    expect(await find('https://1.1.1.1/')).toEqual({ addresses: ['1.1.1.1'] })
    expect(await find('http://1.1.1.1/')).toEqual({ error: 'https required' })
  })

  test('in an allowed network is reached, with and without HTTPS', async () => {
    expect(await find('http://127.1:8080/', '127.0.0.0/8')).toEqual({ addresses: ['127.0.0.1'] })
    expect(await find('https://[::1]/', '::1/128')).toEqual({ addresses: ['::1'] })
    expect(await find('http://10.0.0.1/', '10.0.1.0/24')).toEqual({ error: 'address refused' })
  })
})

test('of the addresses of a host, only those are tried to which webhooks may go', async () => {
  const all = [
    '10.0.0.1',
    '1.1.1.1',
    '::1',
    '2606:4700::1',
    '169.254.169.254',
    '9.9.9.9',
    '8.8.8.8',
  ]
  const found = (networks: string | null, url = 'https://h.example/') =>
    findAddresses(new URL(url), networks === null ? null : parseNetworks(networks), async () => all)
  expect(await found(null)).toEqual({ addresses: ['1.1.1.1', '2606:4700::1', '9.9.9.9'] })
  expect(await found('10.0.0.0/8')).toEqual({ addresses: ['10.0.0.1'] })
  expect(await found('10.0.0.0/8', 'http://h.example/')).toEqual({ addresses: ['10.0.0.1'] })
  expect(await found(null, 'http://h.example/')).toEqual({ error: 'https required' })
})

test('an allowed network has the addresses of IPv6 in which it is mapped', () => {
  const networks = parseNetworks('10.0.0.0/8, fd00::/8')
  const given = ['10.1.1.1', '::ffff:10.1.1.1', 'fd00::1', 'fd00::1%eth0', '11.0.0.1', 'fe80::1']
  expect(given.map((address) => isAllowed(address, networks))).toEqual([
    ...[true, true, true, true],
    ...[false, false],
  ])
})
