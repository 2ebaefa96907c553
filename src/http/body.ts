import { gunzip, gunzipSmall, isGzip } from './content-coding.ts'
import { Problem, unavailable } from './problem.ts'

/** A body above this is large: counted while it is read, and looked at before it is parsed. */
const LARGE_BYTES = 64 * 1024

/** Large bodies that may be read at once, were all of them of the largest size. */
const LARGE_AT_ONCE = 16

/**
 * Bytes of a large body for each value in it, at least: of an entry that says anything there are
 * more. `[[[[`, `{},{},` or `1,1,1,` take the parser up to fifty times as long as entries do, and
 * eighty times their size in memory.
 */
const BYTES_PER_VALUE = 6

/** Reads the bodies of requests, within bounds on each and on all that are read at once. */
export class Bodies {
  #largeBytes = 0

  constructor(private readonly limitBytes: number) {}

  /**
   * The body as text (UTF-8, whatever Content-Type says), decompressed. Throws the problem 413
   * above the limit, 415 for a coding but gzip, 503 where too many large bodies are being read, and
   * 400 for one that is broken or made to hurt.
   */
  read(request: Request): Promise<string> | string {
    const header = request.headers.get('content-length')
    // The server reads no more than it was told.
    const length = header === null ? null : Number(header)
    if (length !== null && length > this.limitBytes) throw this.#tooLarge()
    if (isGzip(request)) return this.#readGzip(request, length)
    if (length === null) return request.body === null ? '' : this.#readChunks(request.body)
    return length <= LARGE_BYTES ? request.text() : this.#readLarge(request, length)
  }

  async #readLarge(request: Request, length: number): Promise<string> {
    this.#take(length)
    try {
      return checked(await request.text())
    } finally {
      this.#largeBytes -= length
    }
  }

  /** The limit holds for what is sent, and for what that decompresses to. */
  async #readGzip(request: Request, length: number | null): Promise<string> {
    if (request.body !== null && (length === null || length > LARGE_BYTES)) {
      return this.#readChunks(gunzip(this.#limited(request.body)))
    }
    const bytes = await request.bytes()
    const small = gunzipSmall(bytes, this.limitBytes)
    return small ? new TextDecoder().decode(small) : this.#readChunks(gunzip(chunksOf(bytes)))
  }

  async *#limited(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0
    for await (const chunk of chunks) {
      bytes += chunk.byteLength
      if (bytes > this.limitBytes) throw this.#tooLarge()
      yield chunk
    }
  }

  /** A body of unknown length: read until it ends, or is found to be too large. */
  async #readChunks(body: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = []
    let bytes = 0
    let taken = 0
    try {
      for await (const chunk of body) {
        bytes += chunk.byteLength
        if (bytes > this.limitBytes) throw this.#tooLarge()
        if (bytes > LARGE_BYTES) {
          this.#take(bytes - taken)
          taken = bytes
        }
        chunks.push(chunk)
      }
      const text = new TextDecoder().decode(Buffer.concat(chunks))
      return taken > 0 ? checked(text) : text
    } finally {
      this.#largeBytes -= taken
    }
  }

  #take(bytes: number): void {
    if (this.#largeBytes + bytes > LARGE_AT_ONCE * this.limitBytes) {
      throw unavailable('too many large bodies')
    }
    this.#largeBytes += bytes
  }

  #tooLarge(): Problem {
    return new Problem(
      413,
      'request body too large',
      `A body has at most ${this.limitBytes} bytes.`,
    )
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Each begins another value. */
const COMMA = 0x2c
const BRACKET = 0x5b
const BRACE = 0x7b

/** The text of a large body; throws the problem 400 where its values say next to nothing. */
function checked(text: string): string {
  const most = (LARGE_BYTES + text.length) / BYTES_PER_VALUE
  let values = 0
  let isString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isString) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) isString = false
    } else if (code === QUOTE) isString = true
    else if ((code === COMMA || code === BRACKET || code === BRACE) && ++values > most) {
      throw new Problem(400, 'invalid request body', 'It has more values than such a body needs.')
    }
  }
  return text
}
