import { lookup } from 'node:dns/promises'
import net from 'node:net'

/** Networks of IPv4 that are no one's on the internet (IANA, special-purpose registry). */
const SPECIAL_V4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16'],
  ...['172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16'],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
]

/** Global unicast, the only addresses of IPv6 on the internet. */
const GLOBAL_V6 = ['2000::/3']

/** In there: protocols, with Teredo; documentation; and 6to4. */
const SPECIAL_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

const specialV4 = toBlockList(SPECIAL_V4, 'ipv4')
const globalV6 = toBlockList(GLOBAL_V6, 'ipv6')
const specialV6 = toBlockList(SPECIAL_V6, 'ipv6')

function toBlockList(networks: readonly string[], family: 'ipv4' | 'ipv6'): net.BlockList {
  const list = new net.BlockList()
  for (const network of networks) {
    const [address, bits] = network.split('/') as [string, string]
    list.addSubnet(address, Number(bits), family)
  }
  return list
}

/**
 * True for an address on the internet, in the form that a resolver returns. IPv6 addresses in which
 * one of IPv4 is embedded are none.
 */
export function isPublic(address: string): boolean {
  const [bare] = address.split('%') as [string]
  if (net.isIPv4(bare)) return !specialV4.check(bare, 'ipv4')
  return net.isIPv6(bare) && globalV6.check(bare, 'ipv6') && !specialV6.check(bare, 'ipv6')
}

/** Finds out whether an address is in one of the networks that were allowed. */
export function isAllowed(address: string, networks: net.BlockList | null): boolean {
  const [bare] = address.split('%') as [string]
  return networks?.check(bare, net.isIPv6(bare) ? 'ipv6' : 'ipv4') ?? false
}

/** Resolves a host to all of its addresses; none if it is unknown. */
export type Resolve = (host: string) => Promise<string[]>

const resolveHost: Resolve = async (host) => {
  const found = await lookup(host, { all: true, verbatim: true }).catch(() => [])
  return found.map(({ address }) => address)
}

/** How many addresses of a host are tried, one after the other. */
const MAX_ADDRESSES = 3

/** The addresses to connect to, or why there is none. */
export type Found =
  | { addresses: string[] }
  | { error: 'host unknown' | 'address refused' | 'https required' }

/**
 * Resolves the host of a URL to the addresses to which webhooks may go: public ones with HTTPS, or
 * those in an allowed network.
 */
export async function findAddresses(
  url: URL,
  networks: net.BlockList | null,
  resolve: Resolve = resolveHost,
): Promise<Found> {
  const found = await resolve(hostOf(url))
  if (found.length === 0) return { error: 'host unknown' }
  const allowed = found.filter((address) => isAllowed(address, networks))
  if (allowed.length > 0) return { addresses: allowed.slice(0, MAX_ADDRESSES) }
  const addresses = found.filter(isPublic).slice(0, MAX_ADDRESSES)
  if (addresses.length === 0) return { error: 'address refused' }
  return url.protocol === 'https:' ? { addresses } : { error: 'https required' }
}

/** Returns the host of a URL: a name, or an address without brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1')
