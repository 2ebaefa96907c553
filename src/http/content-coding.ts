import { pipeline } from 'node:stream'
import { createGunzip, gunzipSync } from 'node:zlib'
import { Problem } from './problem.ts'

/** Bytes to which a body is decompressed at once, on this thread: a fifth of a millisecond. */
const AT_ONCE_BYTES = 64 * 1024

/**
 * Whether the body is compressed with gzip. Throws the problem 415 for any other coding, also for
 * gzip within gzip.
 */
export function isGzip(request: Request): boolean {
  const header = request.headers.get('content-encoding')
  if (header === null) return false
  const codings = header
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
  if (codings.length === 0) return false
  // RFC 9110, section 8.4.1.3: a recipient takes x-gzip for gzip.
  if (codings.length === 1 && (codings[0] === 'gzip' || codings[0] === 'x-gzip')) return true
  throw new Problem(
    415,
    'unsupported content encoding',
    'Send the body compressed with gzip alone, or as it is.',
    { 'accept-encoding': 'gzip, identity' },
  )
}

/**
 * What a small gzip body decompresses to, or null if that is more than 64 KiB or `limitBytes`.
 * Throws the problem 400 if it is broken. Costs a fifth of what `gunzip` does for such a body,
 * which goes to another thread.
 */
export function gunzipSmall(bytes: Uint8Array, limitBytes: number): Buffer | null {
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.min(AT_ONCE_BYTES, limitBytes) })
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') return null
    throw toProblem(error)
  }
}

/**
 * What a gzip body decompresses to, in chunks of 16 KiB, each made on another thread when the one
 * before has been taken: a reader who stops early has paid for no more than what was read. Throws
 * the problem 400 if the body is broken.
 */
export async function* gunzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  // Also an error of `chunks` comes out of `gunzip`.
  pipeline(chunks, gunzip, () => {})
  try {
    yield* gunzip as AsyncIterable<Uint8Array>
  } catch (error) {
    throw toProblem(error)
  }
}

/** zlib's errors are the client's; all others stay what they are. */
function toProblem(error: unknown): unknown {
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || !code.startsWith('Z_')) return error
  return new Problem(400, 'invalid request body', 'The body is not valid gzip.')
}
