import net from 'node:net'
import type { AnonymousContext } from './admission.ts'

/**
 * Finds out who sends a request. If that is a trusted proxy, the client is whom it names in
 * `X-Forwarded-For` or `Forwarded` (RFC 7239). Headers of others are not believed: anyone can write
 * them.
 */
export class Clients {
  constructor(private readonly proxies: net.BlockList | null = null) {}

  /** Returns the IP address of the client, or '' if there is none. */
  addressOf(context: AnonymousContext): string {
    const peer = peerOf(context)
    if (this.proxies === null || !this.#isProxy(peer)) return peer
    const { headers } = context.request
    const given = headers.get('x-forwarded-for')?.split(',').map(toAddress)
    const forwarded = headers.get('forwarded')?.split(',').map(readFor)
    const client = this.#follow(peer, given ?? forwarded ?? [])
    // Most proxies write one of the two, and pass on what the client has written in the other.
    const isAmbiguous = given !== undefined && forwarded !== undefined
    return isAmbiguous && this.#follow(peer, forwarded) !== client ? peer : client
  }

  /** True if the client uses HTTPS, as a trusted proxy states or a browser does. */
  isSecure(context: AnonymousContext): boolean {
    const { headers, url } = context.request
    if (url.startsWith('https:') || headers.get('origin')?.startsWith('https:')) return true
    if (this.proxies === null || !this.#isProxy(peerOf(context))) return false
    return (
      /^\s*https\b/i.test(headers.get('x-forwarded-proto') ?? '') ||
      /\bproto="?https\b/i.test(headers.get('forwarded') ?? '')
    )
  }

  /** Goes back from the last proxy to the first address that is not one of a trusted proxy. */
  #follow(peer: string, hops: readonly (string | null)[]): string {
    let address = peer
    for (const hop of hops.toReversed()) {
      if (hop === null || !this.#isProxy(address)) break
      address = hop
    }
    return address
  }

  #isProxy(address: string): boolean {
    const family = net.isIP(address)
    return family !== 0 && this.proxies!.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

/** Returns the address that is connected to this service. */
const peerOf = ({ request, server }: AnonymousContext) => server?.requestIP(request)?.address ?? ''

/** Returns the address in `for=192.0.2.60;proto=https`, or null. */
function readFor(element: string): string | null {
  const [, value = ''] = /(?:^|;)\s*for=([^;]+)/i.exec(element) ?? []
  return toAddress(value.trim().replace(/^"(.*)"$/, '$1'))
}

/** Returns `192.0.2.60` for that or `192.0.2.60:4711`, `::1` for that or `[::1]:4711`, or null. */
function toAddress(text: string): string | null {
  const [, v6, v4] = /^\[([^\]]+)\](?::\d+)?$|^([\d.]+)(?::\d+)?$/.exec(text.trim()) ?? []
  const address = (v6 ?? v4 ?? text.trim()).split('%')[0]!
  return net.isIP(address) === 0 ? null : address
}

/** Reads networks such as `10.0.0.0/8, 2001:db8::/32`. Returns null if one is invalid. */
export function parseNetworks(text: string): net.BlockList | null {
  const networks = new net.BlockList()
  for (const part of text.split(',')) {
    const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(part.trim()) ?? []
    const version = net.isIP(address)
    const all = version === 6 ? 128 : 32
    if (version === 0 || Number(bits ?? all) > all) return null
    networks.addSubnet(address, Number(bits ?? all), version === 6 ? 'ipv6' : 'ipv4')
  }
  return networks
}
