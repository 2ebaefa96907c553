import { gunzip, gunzipSmall, isGzip } from './content-coding.ts'
import { isTooDense, LARGE_BYTES, TOO_DENSE } from './dense.ts'
import { Problem, unavailable } from './problem.ts'

/** A large body above this is counted as it arrives, others by what they announce. */
const ANNOUNCED_BYTES = 1024 * 1024

/**
 * Large bodies that may be read at once, were all of them of the largest size; and of one client.
 */
const LARGE_AT_ONCE = { all: 16, client: 4 }

/** How slowly a large body may arrive: after some seconds, so many bytes in each. */
const SLOWEST = { afterMs: 10_000, bytesPerMs: 64 }

/** A body above this is handed on as bytes if there is a taker: here it would take some 5 ms. */
const HANDED_ON_BYTES = 256 * 1024

/** Takes the bytes of a very large body, and owns them from then on. */
type Taker<Value> = (bytes: Uint8Array) => Promise<Value>

/** Reads the bodies of requests, within bounds on each and on all that are read at once. */
export class Bodies {
  #largeBytes = 0
  /** Of them, by client; those that have none are left out. */
  readonly #ofClients = new Map<string, number>()

  constructor(
    private readonly limitBytes: number,
    private readonly slowest = SLOWEST,
  ) {}

  /**
   * The body as text (UTF-8, whatever Content-Type says), decompressed. Throws the problem 413
   * above the limit, 415 for a coding but gzip, 503 where too many large bodies are being read, of
   * all clients or of this one, 408 for a large one that comes too slowly, and 400 for one that is
   * broken or made to hurt.
   *
   * `take` is given a very large body as it came, and its result is returned. The body is counted
   * until then.
   */
  read<Value = never>(
    request: Request,
    client: string,
    take: Taker<Value> | null = null,
  ): Promise<string | Value> | string {
    const header = request.headers.get('content-length')
    // The server reads no more than it was told.
    const length = header === null ? null : Number(header)
    if (length !== null && length > this.limitBytes) throw this.#tooLarge()
    if (isGzip(request)) return this.#readGzip(request, length, client, take)
    if (length !== null && length <= LARGE_BYTES) return request.text()
    if (length !== null && length <= ANNOUNCED_BYTES)
      return this.#readLarge(request, length, client, take)
    return request.body === null ? '' : this.#readChunks(request.body, client, take)
  }

  async #readLarge<Value>(
    request: Request,
    length: number,
    client: string,
    take: Taker<Value> | null,
  ): Promise<string | Value> {
    this.#take(length, client)
    const started = performance.now()
    try {
      if (take !== null && length > HANDED_ON_BYTES) {
        return await take(await this.#inTime(request.bytes(), started, length))
      }
      return checked(await this.#inTime(request.text(), started, length))
    } finally {
      this.#give(length, client)
    }
  }

  /** The limit holds for what is sent, and for what that decompresses to. */
  async #readGzip<Value>(
    request: Request,
    length: number | null,
    client: string,
    take: Taker<Value> | null,
  ): Promise<string | Value> {
    if (request.body !== null && (length === null || length > LARGE_BYTES)) {
      return this.#readChunks(gunzip(this.#limited(request.body)), client, take)
    }
    const bytes = await request.bytes()
    const small = gunzipSmall(bytes, this.limitBytes)
    return small
      ? new TextDecoder().decode(small)
      : this.#readChunks(gunzip(chunksOf(bytes)), client, take)
  }

  async *#limited(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0
    for await (const chunk of chunks) {
      bytes += chunk.byteLength
      if (bytes > this.limitBytes) throw this.#tooLarge()
      yield chunk
    }
  }

  /** A body that is counted as it arrives, until it ends or is found to be too large. */
  async #readChunks<Value>(
    body: AsyncIterable<Uint8Array>,
    client: string,
    take: Taker<Value> | null,
  ): Promise<string | Value> {
    const chunks: Uint8Array[] = []
    const started = performance.now()
    const arriving = body[Symbol.asyncIterator]()
    let bytes = 0
    let taken = 0
    try {
      for (;;) {
        const { done, value } = await this.#inTime(arriving.next(), started, bytes)
        if (done) break
        bytes += value.byteLength
        if (bytes > this.limitBytes) throw this.#tooLarge()
        if (bytes > LARGE_BYTES) {
          this.#take(bytes - taken, client)
          taken = bytes
        }
        chunks.push(value)
      }
      const whole = Buffer.concat(chunks)
      if (take !== null && bytes > HANDED_ON_BYTES) return await take(whole)
      const text = new TextDecoder().decode(whole)
      return taken > 0 ? checked(text) : text
    } finally {
      this.#give(taken, client)
      // Where it was given up: what would come is not waited for.
      arriving.return?.()?.catch(() => {})
    }
  }

  /** What arrives, unless by then so many bytes have taken too long. */
  async #inTime<Value>(arriving: Promise<Value>, started: number, bytes: number): Promise<Value> {
    const { afterMs, bytesPerMs } = this.slowest
    const left = started + afterMs + bytes / bytesPerMs - performance.now()
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(TOO_SLOW()), left)
    try {
      return await Promise.race([arriving, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #take(bytes: number, client: string): void {
    const ofClient = (this.#ofClients.get(client) ?? 0) + bytes
    const isTooMuch =
      this.#largeBytes + bytes > LARGE_AT_ONCE.all * this.limitBytes ||
      ofClient > LARGE_AT_ONCE.client * this.limitBytes
    if (isTooMuch) throw unavailable('too many large bodies')
    this.#largeBytes += bytes
    this.#ofClients.set(client, ofClient)
  }

  #give(bytes: number, client: string): void {
    if (bytes === 0) return
    this.#largeBytes -= bytes
    const ofClient = this.#ofClients.get(client)! - bytes
    if (ofClient === 0) this.#ofClients.delete(client)
    else this.#ofClients.set(client, ofClient)
  }

  #tooLarge(): Problem {
    return new Problem(
      413,
      'request body too large',
      `A body has at most ${this.limitBytes} bytes.`,
    )
  }
}

const TOO_SLOW = () =>
  new Problem(408, 'request body too slow', 'A large body has to arrive at 64 kB a second.', {
    connection: 'close',
  })

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** The text of a large body; throws the problem 400 where its values say next to nothing. */
function checked(text: string): string {
  if (isTooDense(text)) throw new Problem(400, TOO_DENSE.error, TOO_DENSE.detail)
  return text
}
