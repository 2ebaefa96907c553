import { hash } from 'node:crypto'
import { takesGzip } from './negotiation.ts'

const HEADERS = {
  'cache-control': 'no-cache',
  'referrer-policy': 'no-referrer',
  vary: 'accept-encoding',
  'x-content-type-options': 'nosniff',
}

/**
 * Returns the Content-Security-Policy of a page: nothing from other hosts, nothing inline except
 * images if `images` is `data:`, and requests only to this service.
 */
export const policyOf = (images: string) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    `img-src ${images}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

/** Answers requests for a static text that is the same for everyone. */
export type Asset = (request: Request) => Response

/** Makes an asset: compressed if the client accepts gzip, and 304 if the client has it already. */
export function toAsset(
  text: string | Uint8Array<ArrayBuffer>,
  type: string,
  headers: Record<string, string> = {},
): Asset {
  // A weak ETag, because it covers the text in every encoding.
  const etag = `W/"${hash('sha256', text, 'base64url')}"`
  const all = { ...HEADERS, ...headers, etag }
  // libdeflate makes the console 1 % smaller than zlib does.
  const gzipped = Bun.gzipSync(text, { level: 9, library: 'libdeflate' })
  return (request) => {
    if (request.headers.get('if-none-match')?.includes(etag)) {
      return new Response(null, { status: 304, headers: all })
    }
    const typed = { ...all, 'content-type': type }
    if (!takesGzip(request)) {
      return new Response(text, { headers: typed })
    }
    return new Response(gzipped, { headers: { ...typed, 'content-encoding': 'gzip' } })
  }
}
