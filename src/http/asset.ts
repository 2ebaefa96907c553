import { hash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { takesGzip } from './encoding.ts'

const HEADERS = {
  'cache-control': 'no-cache',
  'referrer-policy': 'no-referrer',
  vary: 'accept-encoding',
  'x-content-type-options': 'nosniff',
}

/**
 * Content-Security-Policy of a page of ours: nothing from elsewhere, nothing inline but images
 * where these are `data:`; requests only to this service.
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

/** Answers requests for one text, the same to everyone. */
export type Asset = (request: Request) => Response

/** Answers for one text: compressed where the client takes that, and 304 where it has it. */
export function toAsset(
  text: string | Uint8Array<ArrayBuffer>,
  type: string,
  headers: Record<string, string> = {},
): Asset {
  // Weak: it names the text, whatever its encoding.
  const etag = `W/"${hash('sha256', text, 'base64url')}"`
  const all = { ...HEADERS, ...headers, etag }
  const gzipped = gzipSync(text, { level: 9 })
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
