import { hash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

const HEADERS = {
  'cache-control': 'no-cache',
  'referrer-policy': 'no-referrer',
  vary: 'accept-encoding',
  'x-content-type-options': 'nosniff',
}

/** Answers requests for one text, the same to everyone. */
export type Asset = (request: Request) => Response

/** Answers for one text: compressed where the client takes that, and 304 where it has it. */
export function toAsset(text: string, type: string, headers: Record<string, string> = {}): Asset {
  // Weak: it names the text, whatever its encoding.
  const etag = `W/"${hash('sha256', text, 'base64url')}"`
  const all = { ...HEADERS, ...headers, etag }
  const gzipped = gzipSync(text, { level: 9 })
  return (request) => {
    if (request.headers.get('if-none-match')?.includes(etag)) {
      return new Response(null, { status: 304, headers: all })
    }
    const typed = { ...all, 'content-type': type }
    if (!takesGzip(request.headers.get('accept-encoding') ?? '')) {
      return new Response(text, { headers: typed })
    }
    return new Response(gzipped, { headers: { ...typed, 'content-encoding': 'gzip' } })
  }
}

/** True for `gzip`, also with a weight, unless that is 0. */
const takesGzip = (accepted: string) =>
  accepted.split(',').some((coding) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(coding))
