import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'

/** Bytes unpacked at a time; reads of the file are smaller by `FILE_SHARE`. */
export const CHUNK_BYTES = 1024 * 1024
const FILE_SHARE = 4

/**
 * Maximum length of a line in bytes. No event is this long, even one with the largest body. Longer
 * lines are refused, to bound memory.
 */
const MAX_LINE_BYTES = 512 * 1024 * 1024

const NEWLINE = 0x0a

/** A part can't be read. The message states why. */
export class PartError extends Error {
  override name = 'PartError'
}

/** The length of a part's file, and its SHA-256 in hex. */
export type FileDigest = { bytes: number; sha256: string }

/**
 * Yields the lines of a compressed file in batches, and returns the digest of the file. Holds the
 * longest line and about `chunkBytes` more. Throws PartError if the file can't be decompressed, or
 * is not lines of UTF-8.
 */
export async function* readPart(
  path: string,
  chunkBytes: number = CHUNK_BYTES,
): AsyncGenerator<string[], FileDigest> {
  // A pipe or a device might never end.
  const found = await stat(path).catch((error: Error) => error)
  if (found instanceof Error) throw new PartError(found.message)
  if (!found.isFile()) throw new PartError('it is not a file')
  const sha256 = createHash('sha256')
  let bytes = 0
  const file = createReadStream(path, { highWaterMark: chunkBytes / FILE_SHARE })
  const gunzip = createGunzip({ chunkSize: chunkBytes })
  file.on('data', (chunk) => {
    bytes += chunk.length
    sha256.update(chunk)
  })
  file.on('error', (error) => gunzip.destroy(error))
  file.pipe(gunzip)
  try {
    yield* splitLines(gunzip)
  } catch (error) {
    throw error instanceof PartError ? error : new PartError(reasonOf(error))
  } finally {
    file.destroy()
    gunzip.destroy()
  }
  return { bytes, sha256: sha256.digest('hex') }
}

async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string[], void> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  // The bytes after the last newline, joined when the next one arrives.
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(NEWLINE)
    if (end < 0) {
      rest.push(chunk)
      restBytes += chunk.length
      if (restBytes > MAX_LINE_BYTES) throw new PartError('a line is too long to be an event')
      continue
    }
    const text = Buffer.concat([...rest, chunk.subarray(0, end)])
    rest = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : []
    restBytes = chunk.length - end - 1
    yield decode(decoder, text).split('\n')
  }
  if (restBytes > 0) throw new PartError('it does not end with a newline')
}

function decode(decoder: TextDecoder, bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new PartError('its text is not UTF-8')
  }
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
