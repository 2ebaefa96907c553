import { expect, test } from 'bun:test'
import { takesGzip } from '../../src/http/encoding.ts'

const takes = (accepted?: string) => {
  const headers = accepted === undefined ? {} : { 'accept-encoding': accepted }
  return takesGzip(new Request('http://localhost/', { headers }))
}

test.each(['gzip', 'GZip', 'deflate, gzip', 'gzip;q=0.5', 'br, gzip ; q=1.0, *', 'gzip;q=0.001'])(
  'Accept-Encoding %p accepts gzip',
  (accepted) => {
    expect(takes(accepted)).toBe(true)
  },
)

test.each([undefined, '', 'br', 'gzip;q=0', 'gzip; q=0.000', 'x-gzip', 'gzipped', 'br;q=gzip'])(
  'Accept-Encoding %p does not accept gzip',
  (accepted) => {
    expect(takes(accepted)).toBe(false)
  },
)
